"""A dbt project of one model, with a macro that waits for a given time."""

from __future__ import annotations

from pathlib import Path

SLOW = "dbt run-operation wait --args '{seconds: 60}'"
WAIT = """\
{% macro wait(seconds) %}
{% do run_query('select sleep_ms(' ~ seconds * 1000 ~ ')') %}
{% endmacro %}
"""


def write_slow_project(folder: Path) -> str:
    """Write the project into an empty folder; return it as a value of ``--dbt-project``."""
    (folder / "macros").mkdir()
    (folder / "models").mkdir()
    (folder / "dbt_project.yml").write_text("name: slow\nversion: '1.0'\nprofile: slow\n")
    (folder / "models" / "one.sql").write_text("select 1 as id\n")
    (folder / "macros" / "wait.sql").write_text(WAIT)
    return str(folder)

"""A project without the Fivetran and Census providers has one Dag less, and no import error."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]

COUNT_DAGS = """
import sys
from airflow.dag_processing.dagbag import DagBag  # loads the providers that are installed
for package in sys.argv[2:]:
    sys.modules[package] = None  # as if it were not installed
bag = DagBag(sys.argv[1])
print(len(bag.dags), len(bag.import_errors))
"""


@pytest.mark.parametrize(
    ("missing", "dags"),
    [((), 1), (("fivetran_provider_async",), 0), (("airflow_provider_census",), 0)],
    ids=["both installed", "no Fivetran", "no Census"],
)
def test_the_dag_needs_both_providers(missing: tuple[str, ...], dags: int) -> None:
    file = PROJECT / "dags" / "fivetran_dbt_cloud_census.py"
    counted = subprocess.run(
        [sys.executable, "-c", COUNT_DAGS, file, *missing],
        cwd=PROJECT,
        env={**os.environ, "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT / "plugins")},
        capture_output=True,
        text=True,
    )

    assert counted.stdout.splitlines()[-1] == f"{dags} 0", counted.stderr


def test_the_plugin_does_without_the_provider() -> None:
    plugin = PROJECT / "plugins" / "fivetran_host.py"
    script = "import sys; sys.modules['fivetran_provider_async'] = None; import runpy; "
    script += "runpy.run_path(sys.argv[1])"

    subprocess.run([sys.executable, "-c", script, plugin], check=True)

"""The result of each Dag on each Airflow, and their table in CONTRIBUTING.md."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from include.eject.dag_file import PROVIDER, DagFile, dag_files

CONTRIBUTING = Path(__file__).parents[2] / "CONTRIBUTING.md"
TABLE = re.compile(r"(?<=^## The matrix\n\n)(.+?\n\n)((?:\|[^\n]*\n)*)", re.MULTILINE | re.DOTALL)
ROW = re.compile(r"^\| `(\w+)` \| (.+) \|$", re.MULTILINE)

SUCCEEDED, PARSED = "succeeds", "parses"


def too_old(dag: DagFile) -> str:
    """Return the cell for an Airflow that is older than the Dag needs."""
    return f"asks for {version(dag.airflow)}"


def version(parts: tuple[int, ...]) -> str:
    return ".".join(map(str, parts))


def expected(dag: DagFile, minor: tuple[int, ...]) -> str:
    if minor < dag.airflow:
        return too_old(dag)
    return SUCCEEDED if needs_only_the_provider(dag) else PARSED


def needs_only_the_provider(dag: DagFile) -> bool:
    return not dag.copied_with and dag.packages() == {PROVIDER}


@dataclass(frozen=True)
class Column:
    """The results on one Airflow: Dag → outcome, or the error."""

    airflow: str
    provider: str
    outcomes: dict[str, str]
    errors: dict[str, str]


def with_table(text: str, columns: list[Column]) -> str:
    """Return CONTRIBUTING.md with these results; untested Dags keep their row."""
    found = TABLE.search(text)
    assert found
    head = (
        f"| Airflow | {' | '.join(column.airflow for column in columns)} |\n"
        f"|{'---|' * (len(columns) + 1)}\n"
        f"| dbt Cloud provider | {' | '.join(column.provider for column in columns)} |\n"
    )
    rows = dict(ROW.findall(found[2])) if found[2].startswith(head) else {}
    for dag in columns[0].outcomes:
        rows[dag] = " | ".join(column.outcomes[dag] for column in columns)
    existing = {dag.name for dag in dag_files()}
    lines = [f"| `{dag}` | {cells} |\n" for dag, cells in sorted(rows.items()) if dag in existing]
    return text[: found.start(2)] + head + "".join(lines) + text[found.end(2) :]

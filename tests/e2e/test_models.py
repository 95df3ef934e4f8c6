"""A dbt Cloud job's models, on a real scheduler and local dbt Cloud."""

from __future__ import annotations

from tests.e2e.airflow_client import Airflow
from tests.e2e.project import Project


def test_the_lineage_file_is_written_from_the_newest_manifest(
    airflow: Airflow, project: Project
) -> None:
    file = project.root / "include" / "lineage" / "daily_build.json"
    good = file.read_text()
    file.write_text('{"version": 1, "nodes": []}')

    _dag_run, states = airflow.run("write_lineage")

    assert states == {"parse_project": "success", "write_file": "success"}
    assert file.read_text() == good

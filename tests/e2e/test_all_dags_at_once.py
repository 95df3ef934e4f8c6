"""What a person does after ``make start``: switch all Dags on and press play on each."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.airflow_client import Airflow
from tests.e2e.project import Project

PATIENCE = 240.0  # seconds for all, on two cores that do nothing else


@pytest.fixture
def as_cloned(tmp_path: Path) -> Iterator[tuple[Airflow, Project]]:
    """An Airflow of its own, on files that nobody has changed."""
    project = Project.copy_to(tmp_path / "a clone", as_cloned=True)
    started = project.launcher("start")
    try:
        assert started.returncode == 0, started.stdout + started.stderr
        yield Airflow(project.port), project
    finally:
        project.launcher("stop")


def test_all_dags_at_once_succeed_in_their_first_try(
    as_cloned: tuple[Airflow, Project],
) -> None:
    airflow, project = as_cloned
    dags = all_dags(airflow)
    deadline = time.monotonic() + PATIENCE
    for dag_id in dags:
        airflow.call("PATCH", f"/dags/{dag_id}", is_paused=False)

    runs = {dag_id: airflow.trigger(dag_id) for dag_id in dags}

    for dag_id, run_id in runs.items():
        patience = deadline - time.monotonic()
        assert airflow.wait(dag_id, run_id, patience) == "success", dag_id
    for dag_id, run_id in runs.items():
        tasks = airflow.tasks(dag_id, run_id)
        assert {task["try_number"] for task in tasks.values()} <= {0, 1}, (dag_id, tasks)
    health = airflow.call("GET", "/monitor/health")
    assert {part["status"] for part in health.values()} == {"healthy"}
    assert {state.restarts for state in project.states().values()} == {0}


def all_dags(airflow: Airflow) -> list[str]:
    return [dag["dag_id"] for dag in airflow.call("GET", "/dags?limit=100")["dags"]]

"""What a person does after ``make start``: switch all Dags on and press play on each.

The first file here by its name: nothing has run yet in the Airflow that the others share.
"""

from __future__ import annotations

import pytest

from tests.e2e.airflow_client import Airflow
from tests.e2e.project import CHECKOUT, Project
from tests.waiting import eventually

pytestmark = pytest.mark.group(name="airflow-a")

DAGS = 26  # that the files of the repository make
PATIENCE = 480.0  # seconds for all; 240 on two cores that do nothing else


def test_all_dags_at_once_succeed_in_their_first_try(airflow: Airflow, project: Project) -> None:
    dags = dags_as_cloned(airflow)
    assert len(dags) == DAGS
    for dag_id in dags:
        airflow.call("PATCH", f"/dags/{dag_id}", is_paused=False)

    for dag_id in dags:
        airflow.trigger(dag_id)

    def all_runs() -> list[tuple[str, str]] | None:
        found = [(dag_id, run_id) for dag_id in dags for run_id in airflow.dag_runs(dag_id)]
        return found if len(found) > len(dags) else None

    approve_what_waits(airflow)
    runs = eventually(all_runs, "those with a schedule start by themselves too")
    for dag_id, run_id in runs:
        assert airflow.wait(dag_id, run_id, PATIENCE) == "success", dag_id
    for dag_id, run_id in runs:
        for task_id, task in airflow.tasks(dag_id, run_id).items():
            assert task["try_number"] <= 1, airflow.events(dag_id, run_id, task_id)
    health = airflow.call("GET", "/monitor/health")
    assert {part["status"] for part in health.values()} == {"healthy"}
    assert {state.restarts for state in project.states().values()} == {0}


def approve_what_waits(airflow: Airflow) -> None:
    """One Dag asks a person, unless production has all of it by then."""
    dag_id, task_id = "approve_before_dbt_cloud_run", "approve"
    [run_id] = airflow.dag_runs(dag_id)

    def state() -> str | None:
        found = airflow.states(dag_id, run_id).get(task_id)
        return found if found in ("awaiting_input", "skipped") else None

    if eventually(state, f"{dag_id} asks", PATIENCE) == "awaiting_input":
        airflow.answer(dag_id, run_id, task_id, "Approve")


def dags_as_cloned(airflow: Airflow) -> list[str]:
    """All but those that only tests have."""
    files = {file.name for file in (CHECKOUT / "dags").glob("*.py")}
    dags = airflow.call("GET", "/dags?limit=100")["dags"]
    return sorted(dag["dag_id"] for dag in dags if dag["relative_fileloc"] in files)

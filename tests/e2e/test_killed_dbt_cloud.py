"""The local dbt Cloud dies in the middle of a run: the task fails or recovers, it never hangs."""

from __future__ import annotations

import pytest

from tests.e2e.airflow_client import Airflow
from tests.e2e.project import Project
from tests.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.group(name="airflow-b")]

DAG = "run_dbt_cloud_job"
TASK = "trigger_dbt_cloud_job_run"
SERVER = "local-dbt-cloud"


def test_task_fails_when_dbt_cloud_stops_and_succeeds_when_cleared_later(
    airflow: Airflow, project: Project
) -> None:
    servers = project.supervisors[1]
    try:
        with project.warehouse():  # dbt waits for it, so the run stays active
            run_id = airflow.trigger(DAG)
            airflow.wait_for_task(DAG, run_id, TASK, "deferred")
            (active,) = project.dbt_runs(status__in="[1,2,3]")
            servers.stop(SERVER)
            assert airflow.wait(DAG, run_id) == "failed"
    finally:
        servers.start(SERVER)

    eventually(project.is_well, "it is back")
    (interrupted,) = (run for run in project.dbt_runs() if run["id"] == active["id"])
    assert interrupted["status_humanized"] == "Error"
    assert "stopped" in interrupted["status_message"]

    airflow.clear(DAG, run_id, TASK)
    assert airflow.wait(DAG, run_id) == "success"


def test_task_recovers_when_a_killed_dbt_cloud_restarts(airflow: Airflow, project: Project) -> None:
    with project.warehouse():
        run_id = airflow.trigger(DAG)
        airflow.wait_for_task(DAG, run_id, TASK, "deferred")
        project.kill(SERVER)  # and it is started again by itself

    assert airflow.wait(DAG, run_id) == "success"
    assert eventually(lambda: not project.dbt_runs(status__in="[1,2,3]"), "no run is active")

"""The local dbt Cloud dies in the middle of a run: the task fails or recovers, it never hangs."""

from __future__ import annotations

import os
import signal

from tests.e2e.airflow_client import Airflow
from tests.e2e.project import Project, eventually

DAG = "run_dbt_cloud_job"
TASK = "trigger_dbt_cloud_job_run"


def kill(project: Project) -> None:
    (server,) = (
        process for process in project.processes() if "include.local_dbt_cloud" in process.cmdline()
    )
    os.kill(server.pid, signal.SIGKILL)
    server.wait(10)


def test_a_task_fails_when_dbt_cloud_is_gone_and_runs_again_when_it_is_back(
    airflow: Airflow, project: Project
) -> None:
    try:
        with project.warehouse():  # dbt waits for it, so the run stays active
            run_id = airflow.trigger(DAG)
            airflow.wait_for_task(DAG, run_id, TASK, "deferred")
            (active,) = project.dbt_runs(status__in="[1,2,3]")
            kill(project)
            assert airflow.wait(DAG, run_id) == "failed"
    finally:
        project.launcher("start")  # starts what is missing: the local dbt Cloud

    (interrupted,) = (run for run in project.dbt_runs() if run["id"] == active["id"])
    assert interrupted["status_humanized"] == "Error"
    assert "stopped" in interrupted["status_message"]

    airflow.clear(DAG, run_id, TASK)
    assert airflow.wait(DAG, run_id) == "success"


def test_a_task_recovers_when_dbt_cloud_comes_back_in_time(
    airflow: Airflow, project: Project
) -> None:
    with project.warehouse():
        run_id = airflow.trigger(DAG)
        airflow.wait_for_task(DAG, run_id, TASK, "deferred")
        kill(project)
        project.launcher("start")

    assert airflow.wait(DAG, run_id) == "success"
    assert eventually(lambda: not project.dbt_runs(status__in="[1,2,3]"), "no run is active")

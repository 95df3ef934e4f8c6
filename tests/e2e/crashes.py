"""A copy of this repository in which Airflow soon notices that something has died."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.project import Project
from tests.e2e.variants import change_file

DAG = "run_dbt_cloud_job_exactly_once"
TASK = "trigger_dbt_cloud_job_run"
# Airflow notices the death of a component sooner than in production, to keep the tests short.
IMPATIENT = {
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "4",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "2",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "6",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_SEC": "1",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "4",
    "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "1",
}


def copy_for_crashes(root: Path) -> Project:
    """One Dag, whose dbt runs build one model, and which does not wait long for an answer."""
    project = Project.copy_to(root, retries=2)
    for file in (project.root / "dags").glob("*.py"):
        if file.stem != DAG:
            file.unlink()  # the fewer Dags, the sooner Airflow is ready
    include = project.root / "include"
    patience = {"UNANSWERED_SECONDS = 20": "UNANSWERED_SECONDS = 4"}
    change_file(include / "dbt_cloud" / "progress.py", patience)
    one_model = {"- dbt build": "- dbt build --select stg_stores"}
    change_file(include / "local_dbt_cloud" / "jobs.yaml", one_model)
    return project

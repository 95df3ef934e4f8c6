"""
### Create and run a dbt Cloud job

Creates the dbt Cloud job of this file if it is missing, updates it if it differs, then runs it. Use
it to keep the job in version control beside its Dag.

The job is found by project, environment and name. There is never a second one of that name: only
one Dag run at a time creates it, and a retry finds a job whose creation got no response.

**Needs** the connection `dbt_cloud_default` (as cloned, the local dbt Cloud); the token needs the
permission set Job Admin.

**To use it elsewhere** copy this file and set `PROJECT`, `ENVIRONMENT` and `JOB`.
"""

from __future__ import annotations

import json
from typing import Any

import pendulum
from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudHook
from airflow.providers.dbt.cloud.operators.dbt import DbtCloudRunJobOperator
from airflow.sdk import dag, task

DBT_CLOUD_CONN_ID = "dbt_cloud_default"  # its login is your account id
PROJECT = "Jaffle shop"
ENVIRONMENT = "Production"
JOB: dict[str, Any] = {
    "name": "Marts and what they read",
    "description": "Kept by the Airflow Dag create_and_run_dbt_cloud_job",
    "execute_steps": ["dbt build --select +marts"],
    "settings": {"threads": 4, "target_name": "default"},
    "triggers": {"github_webhook": False, "git_provider_webhook": False, "schedule": False},
}


def only(name: str, pages: list[Any]) -> dict[str, Any] | None:
    """Return the item with exactly that name, or None; the API also returns similar names."""
    found = [each for page in pages for each in page.json()["data"] if each["name"] == name]
    if len(found) > 1:
        raise AirflowFailException(
            f"dbt Cloud has {len(found)} items named {name!r}: delete all but one."
        )
    return found[0] if found else None


def differs(expected: Any, found: Any) -> bool:
    """Return whether a job differs in a field that this file sets."""
    if isinstance(expected, dict):
        return any(differs(value, found.get(name)) for name, value in expected.items())
    return bool(expected != found)


@dag(
    schedule=None,
    start_date=pendulum.datetime(2026, 4, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    default_args={
        "owner": "analytics-engineering",
        "retries": 2,
        "retry_delay": pendulum.duration(seconds=30),
    },
    tags=["dbt Cloud"],
    doc_md=__doc__,
)
def create_and_run_dbt_cloud_job() -> None:
    @task(max_active_tis_per_dag=1)
    def create_or_update_job() -> int:
        hook = DbtCloudHook(DBT_CLOUD_CONN_ID)
        project = only(PROJECT, hook.list_projects(name_contains=PROJECT))
        if project is None:
            raise AirflowFailException(f"dbt Cloud has no project named {PROJECT!r}: set PROJECT.")
        environments = hook.list_environments(project["id"], name_contains=ENVIRONMENT)
        environment = only(ENVIRONMENT, environments)
        if environment is None:
            raise AirflowFailException(
                f"{PROJECT!r} has no environment {ENVIRONMENT!r}: set ENVIRONMENT."
            )
        place = {"project_id": project["id"], "environment_id": environment["id"]}
        job = only(JOB["name"], hook.list_jobs(name_contains=JOB["name"], **place))
        if job and not differs(JOB, job):
            return int(job["id"])
        # The provider has no call to create a job; its hook's `run` adds host and token.
        hook.method = "POST"
        jobs = f"api/v2/accounts/{project['account_id']}/jobs/"
        body = {**(job or {}), **place, "account_id": project["account_id"], **JOB}
        saved = hook.run(f"{jobs}{job['id']}/" if job else jobs, data=json.dumps(body))
        return int(saved.json()["data"]["id"])

    DbtCloudRunJobOperator(
        task_id="trigger_dbt_cloud_job_run",
        job_id=create_or_update_job(),
        dbt_cloud_conn_id=DBT_CLOUD_CONN_ID,
        deferrable=True,
        check_interval=5,  # seconds
        execution_timeout=pendulum.duration(hours=1),
        reuse_existing_run=True,
        retry_from_failure=True,
    )


create_and_run_dbt_cloud_job()

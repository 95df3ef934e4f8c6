"""
### Check before running a dbt Cloud job

Skips the other tasks if a run of the job is queued, starting or running. Use it if people or other
schedulers start the job too, so that a second run would only wait in its queue.

The check is one API call for the newest active run.

**Needs** the connection `dbt_cloud_default` (as cloned, the local dbt Cloud).

**To use it elsewhere** copy this file and set `JOB_ID`.
"""

from __future__ import annotations

import logging

import pendulum
from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudHook, DbtCloudJobRunStatus
from airflow.providers.dbt.cloud.operators.dbt import DbtCloudRunJobOperator
from airflow.sdk import dag, task

# https://YOUR_ACCESS_URL/deploy/16173/projects/36467/jobs/65767
JOB_ID = 65767
DBT_CLOUD_CONN_ID = "dbt_cloud_default"  # its login is your account id

log = logging.getLogger(__name__)


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
def check_before_running_dbt_cloud_job() -> None:
    @task.short_circuit
    def check_job_is_not_running() -> bool:
        newest_active_run = {
            "job_definition_id": JOB_ID,
            "status__in": str(list(DbtCloudJobRunStatus.NON_TERMINAL_STATUSES.value)),
            "order_by": "-id",
            "limit": 1,
        }
        hook = DbtCloudHook(DBT_CLOUD_CONN_ID)
        runs = hook.get_job_runs(payload=newest_active_run).json()["data"]
        for run in runs:
            log.info("Job %s is %s: %s", JOB_ID, run["status_humanized"], run["href"])
        return not runs

    trigger_dbt_cloud_job_run = DbtCloudRunJobOperator(
        task_id="trigger_dbt_cloud_job_run",
        job_id=JOB_ID,
        dbt_cloud_conn_id=DBT_CLOUD_CONN_ID,
        deferrable=True,
        check_interval=5,  # seconds
        execution_timeout=pendulum.duration(hours=1),
        reuse_existing_run=True,
        retry_from_failure=True,
    )

    check_job_is_not_running() >> trigger_dbt_cloud_job_run


check_before_running_dbt_cloud_job()

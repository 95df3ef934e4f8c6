"""
### Hourly and daily dbt Cloud jobs

Two Dags from one file: the job "Hourly run" builds the models tagged `hourly` every hour, the job
"Daily run" those tagged `daily` every morning. The tags are in the dbt project, so a model's
schedule changes without a change here.

Prefer a few big jobs to one job per model. dbt orders its models and builds them in parallel within
a run; each additional job queues, clones, parses and connects separately. Select a job's models by
tag, and its frequency by schedule.

**Needs** the connection `dbt_cloud_default` (as cloned, the local dbt Cloud). Turn off the jobs'
own schedules in dbt Cloud, or they run twice.

**To use it elsewhere** copy this file and set `HOURLY_JOB_ID`, `DAILY_JOB_ID` and the schedules.
"""

from __future__ import annotations

import pendulum
from airflow.providers.dbt.cloud.operators.dbt import DbtCloudRunJobOperator
from airflow.sdk import dag

# https://YOUR_ACCESS_URL/deploy/16173/projects/36467/jobs/48617
HOURLY_JOB_ID = 48617
# https://YOUR_ACCESS_URL/deploy/16173/projects/36467/jobs/48618
DAILY_JOB_ID = 48618
DBT_CLOUD_CONN_ID = "dbt_cloud_default"  # its login is your account id


def run_on_schedule(dag_id: str, job_id: int, schedule: str) -> None:
    @dag(
        dag_id=dag_id,
        schedule=schedule,
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
    def run_job() -> None:
        DbtCloudRunJobOperator(
            task_id="trigger_dbt_cloud_job_run",
            job_id=job_id,
            dbt_cloud_conn_id=DBT_CLOUD_CONN_ID,
            deferrable=True,
            check_interval=5,  # seconds
            execution_timeout=pendulum.duration(minutes=50),  # shorter than the hourly schedule
            reuse_existing_run=True,
            retry_from_failure=True,
        )

    run_job()


run_on_schedule("hourly_dbt_cloud_job", HOURLY_JOB_ID, schedule="0 * * * *")
run_on_schedule("daily_dbt_cloud_job", DAILY_JOB_ID, schedule="30 6 * * *")

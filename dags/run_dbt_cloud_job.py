"""
### Run a dbt Cloud job

Begin here. Starts one dbt Cloud job and waits for its end without holding a worker.

- A retry joins the job's active run, and resumes a failed one where it failed.
- After `execution_timeout` the dbt Cloud run is cancelled (`timeout` would only end the wait).
- Clear the task to run the job again.

**Needs** the connection `dbt_cloud_default` (as cloned, the local dbt Cloud).

**To use it elsewhere** copy this file and set `JOB_ID`.
"""

from __future__ import annotations

import pendulum
from airflow.providers.dbt.cloud.operators.dbt import DbtCloudRunJobOperator
from airflow.sdk import dag

# https://YOUR_ACCESS_URL/deploy/16173/projects/36467/jobs/65767
JOB_ID = 65767
DBT_CLOUD_CONN_ID = "dbt_cloud_default"  # its login is your account id


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
    tags=["dbt Cloud", "begin here"],
    doc_md=__doc__,
)
def run_dbt_cloud_job() -> None:
    DbtCloudRunJobOperator(
        task_id="trigger_dbt_cloud_job_run",
        job_id=JOB_ID,
        dbt_cloud_conn_id=DBT_CLOUD_CONN_ID,
        deferrable=True,
        check_interval=5,  # seconds
        execution_timeout=pendulum.duration(hours=1),
        reuse_existing_run=True,
        retry_from_failure=True,
    )


run_dbt_cloud_job()

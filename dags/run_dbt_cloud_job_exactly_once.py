"""
### Run a dbt Cloud job exactly once

Starts one dbt Cloud run for each Dag run, despite crashes of a worker, the triggerer, the
scheduler, the connection or dbt Cloud itself. Use it when a second run would cost money or build
the same rows twice.

- A try after a crash continues with the existing run; after a failure it resumes that run.
- Clear the task to cancel its active run, resume its failed one, or repeat a successful one.
- All waiting runs share one poll. Failed polls never fail a healthy run.
- The log of a failed task names the models that failed, their messages and the run's page.

**Needs** the connection `dbt_cloud_default` (as cloned, the local dbt Cloud) and Airflow 3.3.

**To use it elsewhere** copy this file and set `JOB_ID`.
**Copy with** include/dbt_cloud/
"""

from __future__ import annotations

import pendulum
from airflow.sdk import dag

from include.dbt_cloud import DbtCloudRunJobExactlyOnceOperator

# https://YOUR_ACCESS_URL/deploy/16173/projects/36467/jobs/65767
JOB_ID = 65767
DBT_CLOUD_CONN_ID = "dbt_cloud_default"  # its login is your account id


@dag(
    schedule=None,
    start_date=pendulum.datetime(2026, 4, 1, tz="UTC"),
    catchup=False,
    max_active_runs=3,  # Dag runs never share a dbt Cloud run
    default_args={
        "owner": "analytics-engineering",
        "retries": 2,
        "retry_delay": pendulum.duration(seconds=30),
    },
    tags=["dbt Cloud"],
    doc_md=__doc__,
)
def run_dbt_cloud_job_exactly_once() -> None:
    DbtCloudRunJobExactlyOnceOperator(
        task_id="trigger_dbt_cloud_job_run",
        job_id=JOB_ID,
        dbt_cloud_conn_id=DBT_CLOUD_CONN_ID,
        check_interval=5,  # seconds
        execution_timeout=pendulum.duration(hours=1),
        max_silence=600,  # seconds of failed polls
    )


run_dbt_cloud_job_exactly_once()

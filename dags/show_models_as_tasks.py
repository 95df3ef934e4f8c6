"""
### Show models as tasks

Runs a dbt Cloud job and shows each of its models as a task during the run: finished, failed or
waiting. It uses one dbt Cloud run, one poll for all tasks, and no worker.

- A failed model does not affect its siblings. Its task's log has dbt's message.
- Clear a failed model's task to rebuild it and its children, with one run for all tasks that were
  cleared together. Clear `run_job` to resume the whole job from where it failed.
- A test belongs to the task of the model that it tests.
- `rest_of_run` reports nodes without a task, such as models that the lineage file lacks.

**Needs** the connection `dbt_cloud_default` (as cloned, the local dbt Cloud) and Airflow 3.3.

**To use it elsewhere** set `JOB_ID`, then run `write_lineage`.
**Copy with** include/dbt_cloud/, include/lineage/, dags/write_lineage.py
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pendulum
from airflow.sdk import dag

from include.dbt_cloud.models import dbt_cloud_models

# https://YOUR_ACCESS_URL/deploy/16173/projects/36467/jobs/65767
JOB_ID = 65767
DBT_CLOUD_CONN_ID = "dbt_cloud_default"  # its login is your account id
LINEAGE = Path(__file__).parents[1] / "include" / "lineage" / "daily_build.json"


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
def show_models_as_tasks() -> None:
    dbt_cloud_models(
        "jaffle_shop",
        job_id=JOB_ID,
        dbt_cloud_conn_id=DBT_CLOUD_CONN_ID,
        lineage=LINEAGE,
        exclude=["folder:incremental"],  # another job builds it
        check_interval=2,  # seconds
        execution_timeout=timedelta(hours=1),
    )


show_models_as_tasks()

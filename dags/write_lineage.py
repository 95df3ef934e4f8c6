"""
### Write the lineage of a dbt Cloud job

Parses the job's project in dbt Cloud, without building it, and writes its models and their
dependencies to a small file, from which a Dag can create a task per model.

- Run it again after models were added, renamed or removed (as cloned, with `make lineage`).
- An unchanged file is not rewritten.

**Needs** Airflow 3.3, and the connection `dbt_cloud_default` (as cloned, the local dbt Cloud).

**To use it elsewhere** set `JOB_ID`. If Airflow's machines share no folder, run it on your machine
and commit the file.
**Copy with** include/dbt_cloud/, include/lineage/
"""

from __future__ import annotations

from pathlib import Path

import pendulum
from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudHook
from airflow.sdk import dag, task

from include.dbt_cloud import DbtCloudRunJobExactlyOnceOperator, models

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
def write_lineage() -> None:
    parse_project = DbtCloudRunJobExactlyOnceOperator(
        task_id="parse_project",
        job_id=JOB_ID,
        dbt_cloud_conn_id=DBT_CLOUD_CONN_ID,
        steps_override=["dbt parse"],
        check_interval=2,  # seconds
        execution_timeout=pendulum.duration(minutes=10),
    )

    @task
    def write_file(parsed_by: int) -> int:
        return models.write_lineage(DbtCloudHook(DBT_CLOUD_CONN_ID), parsed_by, LINEAGE)

    write_file(parse_project.output)


write_lineage()

"""
### Rerun a dbt Cloud job from the point of failure

Finishes exactly one failed run: the one named in the form, by default the job's newest failed run.
dbt Cloud runs the failed step again from the failed node, and the skipped steps.

- If dbt Cloud cannot resume the run, the log has the reason. A new run then builds the failed and
  skipped nodes with the options of the failed command, and runs the commands after it.
- The log names the failed and skipped nodes, the new run and its page.
- A try after a crash continues with the existing run.

**Needs** Airflow 3.3 and the connection `dbt_cloud_default` (as cloned, the local dbt Cloud).

**To use it elsewhere** copy this file and set `JOB_ID`.
**Copy with** include/dbt_cloud/
"""

from __future__ import annotations

from typing import Any

import pendulum
from airflow.providers.common.compat.sdk import AirflowSkipException
from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudHook, DbtCloudJobRunStatus
from airflow.sdk import Param, dag, task

from include.dbt_cloud import DbtCloudRunJobExactlyOnceOperator

# https://YOUR_ACCESS_URL/deploy/16173/projects/36467/jobs/65767
JOB_ID = 65767
DBT_CLOUD_CONN_ID = "dbt_cloud_default"  # its login is your account id


@dag(
    schedule=None,
    start_date=pendulum.datetime(2026, 4, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    params={"run_id": Param(None, type=["null", "integer"], title="Failed run (default: newest)")},
    default_args={
        "owner": "analytics-engineering",
        "retries": 2,
        "retry_delay": pendulum.duration(seconds=30),
    },
    tags=["dbt Cloud"],
    doc_md=__doc__,
)
def rerun_dbt_cloud_job_from_failure() -> None:
    @task
    def find_failed_run(params: dict[str, Any]) -> int:
        if params["run_id"]:
            return int(params["run_id"])
        newest_failed = {
            "job_definition_id": JOB_ID,
            "status": DbtCloudJobRunStatus.ERROR.value,
            "order_by": "-id",
            "limit": 1,
        }
        runs = DbtCloudHook(DBT_CLOUD_CONN_ID).get_job_runs(payload=newest_failed)
        for run in runs.json()["data"]:
            return int(run["id"])
        raise AirflowSkipException(f"Job {JOB_ID} has no failed run to finish.")

    DbtCloudRunJobExactlyOnceOperator(
        task_id="finish_failed_run",
        job_id=JOB_ID,
        dbt_cloud_conn_id=DBT_CLOUD_CONN_ID,
        failed_run_id=find_failed_run(),
        check_interval=5,  # seconds
        execution_timeout=pendulum.duration(hours=1),
    )


rerun_dbt_cloud_job_from_failure()

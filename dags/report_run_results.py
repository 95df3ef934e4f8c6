"""
### Report run results

Runs a dbt Cloud job and reports on any result: the numbers of passed and failed nodes with reasons,
the ten slowest, and the models that became slower than in their earlier runs. With a run's id in
the form it reports on that run instead.

- The report is a table in the log, data in XCom, and a page with a chart under `REPORTS`, next to
  the artifacts and full logs of every step, for log shipping.
- A model is slower if it is an outlier compared with at least ten earlier runs; see
  include/dbt_cloud/reports/run_times.py.
- The report is a teardown: it runs after a failure, and never turns a failed Dag run green.

**Needs** Airflow 3.3, the connection `dbt_cloud_default` (as cloned, the local dbt Cloud) and
matplotlib.

**To use it elsewhere** set `JOB_ID`, and `REPORTS` to an `s3://` or `gs://` address.
**Copy with** include/dbt_cloud/
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pendulum
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException
from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudHook, DbtCloudJobRunStatus
from airflow.sdk import ObjectStoragePath, Param, dag, task, teardown

from include.dbt_cloud import DbtCloudRunJobExactlyOnceOperator, reports

# https://YOUR_ACCESS_URL/deploy/16173/projects/36467/jobs/65767
JOB_ID = 65767
DBT_CLOUD_CONN_ID = "dbt_cloud_default"  # its login is your account id
REPORTS = ObjectStoragePath(f"file://{Path(__file__).parents[1]}/include/.local/reports")


@dag(
    schedule=None,
    start_date=pendulum.datetime(2026, 4, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    params={"run_id": Param(None, type=["null", "integer"], title="Run (default: start one)")},
    default_args={
        "owner": "analytics-engineering",
        "retries": 2,
        "retry_delay": pendulum.duration(seconds=30),
    },
    tags=["dbt Cloud"],
    doc_md=__doc__,
)
def report_run_results() -> None:
    @task.short_circuit(ignore_downstream_trigger_rules=False)
    def start_a_run(params: dict[str, Any]) -> bool:
        if params["run_id"] is None:
            return True
        status = DbtCloudHook(DBT_CLOUD_CONN_ID).get_job_run_status(params["run_id"])
        if not DbtCloudJobRunStatus.is_terminal(status):
            raise AirflowFailException(
                f"Run {params['run_id']} is still running; try again when it has finished."
            )
        return False

    trigger_dbt_cloud_job_run = DbtCloudRunJobExactlyOnceOperator(
        task_id="trigger_dbt_cloud_job_run",
        job_id=JOB_ID,
        dbt_cloud_conn_id=DBT_CLOUD_CONN_ID,
        check_interval=2,  # seconds
        execution_timeout=pendulum.duration(hours=1),
    )

    @teardown
    def report_results(**context: Any) -> dict[str, Any]:
        triggered = {"task_ids": "trigger_dbt_cloud_job_run", "key": "job_run_id"}
        run_id = context["params"]["run_id"] or context["ti"].xcom_pull(**triggered)
        if run_id is None:
            raise AirflowSkipException("No dbt Cloud run was started: nothing to report.")
        return reports.report_run(run_id, REPORTS, DBT_CLOUD_CONN_ID)

    start_a_run() >> trigger_dbt_cloud_job_run >> report_results()


report_run_results()

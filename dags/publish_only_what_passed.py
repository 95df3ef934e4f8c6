"""
### Publish only what passed

Builds and tests a new version of the marts in a schema of its own, and then switches the consumers'
views to it in one transaction. Use it when consumers must never read a mart that failed a test, or
marts of two builds.

- A failed model or test leaves the published version as it was: fix it, and trigger the Dag again.
  Clear `trigger_dbt_cloud_job_run` to resume an interrupted build in the same schema.
- The previous version stays. "Return to the previous version" in the form switches back at once.
- The views are in the schema `published` and read `version_1`, `version_2`, and so on. Every
  version is a full build, so incremental models start empty.

**Needs** Airflow 3.3, the connection `dbt_cloud_default` (as cloned, the local dbt Cloud), duckdb,
and a job `dbt build` that no other Dag uses, whose models are all in one schema.

**To use it elsewhere** set `JOB_ID`, and write the statements of include/shop/publishing.py for
your warehouse (as cloned, docs/publish.md lists them).
**Copy with** include/dbt_cloud/, include/shop/
"""

from __future__ import annotations

from typing import Any

import pendulum
from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudHook, DbtCloudJobRunStatus
from airflow.sdk import Param, dag, task

from include.dbt_cloud import DbtCloudRunJobExactlyOnceOperator
from include.shop import publishing
from include.shop.local_warehouse import open_local_warehouse

# https://YOUR_ACCESS_URL/deploy/16173/projects/36467/jobs/48650
JOB_ID = 48650
DBT_CLOUD_CONN_ID = "dbt_cloud_default"  # its login is your account id
PARAMS = {"roll_back": Param(False, type="boolean", title="Return to the previous version")}


class BuildCandidateOperator(DbtCloudRunJobExactlyOnceOperator):
    """Builds in the same schema in each try, and never in a published one."""

    def execute(self, context: Any) -> int:
        with open_local_warehouse(self.dbt_cloud_conn_id) as warehouse:
            self.schema_override = publishing.choose_candidate(warehouse, context["run_id"])
        self.log.info("Building in the schema %s.", self.schema_override)
        return super().execute(context)


@dag(
    schedule=None,
    start_date=pendulum.datetime(2026, 4, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    params=PARAMS,
    default_args={
        "owner": "analytics-engineering",
        "retries": 2,
        "retry_delay": pendulum.duration(seconds=30),
    },
    tags=["dbt Cloud"],
    doc_md=__doc__,
)
def publish_only_what_passed() -> None:
    @task.branch
    def read_form(params: dict[str, Any]) -> str:
        if unknown := ", ".join(params.keys() - PARAMS.keys()):
            raise AirflowFailException(f"The form has no field {unknown}: correct the call.")
        return "roll_back" if params["roll_back"] else "trigger_dbt_cloud_job_run"

    trigger_dbt_cloud_job_run = BuildCandidateOperator(
        task_id="trigger_dbt_cloud_job_run",
        job_id=JOB_ID,
        dbt_cloud_conn_id=DBT_CLOUD_CONN_ID,
        check_interval=2,  # seconds
        execution_timeout=pendulum.duration(hours=1),
    )

    @task
    def publish(**context: Any) -> dict[str, Any]:
        dbt_cloud = DbtCloudHook(DBT_CLOUD_CONN_ID)
        run = context["ti"].xcom_pull("trigger_dbt_cloud_job_run", key="job_run_id")
        if not run or dbt_cloud.get_job_run_status(run) != DbtCloudJobRunStatus.SUCCESS.value:
            # A person has marked the task as success.
            raise AirflowFailException(
                f"dbt Cloud run {run} has not succeeded: nothing was published. "
                "Clear trigger_dbt_cloud_job_run."
            )
        manifest = dbt_cloud.get_job_run_artifact(run, "manifest.json").json()
        with open_local_warehouse(DBT_CLOUD_CONN_ID) as warehouse:
            return publishing.publish(warehouse, context["run_id"], manifest)

    @task
    def roll_back(**context: Any) -> dict[str, Any]:
        with open_local_warehouse(DBT_CLOUD_CONN_ID) as warehouse:
            return publishing.roll_back(warehouse, context["run_id"])

    form = read_form()
    form >> trigger_dbt_cloud_job_run >> publish()
    form >> roll_back()


publish_only_what_passed()

"""
### Check a dbt pull request

Builds and tests a pull request's changes in dbt Cloud, in a separate schema, and reads all other
models from production ("Slim CI"). Your git host starts it with one call of Airflow's API, or a
person fills in the form (as cloned, docs/ci_cd.md has the call for each git host).

- A newer commit of the same pull request cancels the older one's run.
- The result lists the built nodes, the nodes read from production and the failed tests. A failed
  check is not retried automatically: clear its task to repeat it.
- `closed` drops the schema by a run of the same job, with the macro `drop_pull_request_schema`.
  dbt Cloud itself drops only schemas of pull requests from its own git webhooks.

**Needs** Airflow 3.3, the connection `dbt_cloud_default` (as cloned, the local dbt Cloud), and a
job `dbt build --select state:modified+` that defers to production.

**To use it elsewhere** set `JOB_ID` and `PULL_REQUEST_ID`, and copy the macro
include/jaffle_shop/macros/drop_pull_request_schema.sql into your dbt project.
**Copy with** include/dbt_cloud/
"""

from __future__ import annotations

from typing import Any

import pendulum
from airflow import sdk
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException
from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudJobRunException
from airflow.sdk import Param, dag, task, teardown

from include.dbt_cloud import pull_requests

# https://YOUR_ACCESS_URL/deploy/16173/projects/36467/jobs/48621
JOB_ID = 48621
DBT_CLOUD_CONN_ID = "dbt_cloud_default"  # its login is your account id
# Or gitlab_merge_request_id, azure_pull_request_id, non_native_pull_request_id
PULL_REQUEST_ID = "github_pull_request_id"
DROP_SCHEMA = "dbt run-operation drop_pull_request_schema"

PARAMS = {
    "pull_request": Param(None, type=["null", "integer"], minimum=1, title="Number"),
    "commit": Param(None, type=["null", "string"], pattern="^[0-9a-f]{40}$", title="Full commit"),
    "branch": Param(None, type=["null", "string"], title="Branch, for dbt Cloud's pages"),
    "closed": Param(False, type="boolean", title="Closed or merged: drop its schema"),
}
# `sdk.`, since Airflow 3.2 lacks these, and include/dbt_cloud then reports the required version.
FAIL = sdk.RetryRule(DbtCloudJobRunException, sdk.RetryAction.FAIL, reason="The check failed.")
NO_RETRY_OF_FAILED_CHECKS = sdk.ExceptionRetryPolicy([FAIL])


@dag(
    schedule=None,
    start_date=pendulum.datetime(2026, 4, 1, tz="UTC"),
    catchup=False,
    max_active_runs=16,  # a newer commit does not wait for an older one
    params=PARAMS,
    default_args={
        "owner": "analytics-engineering",
        "retries": 2,
        "retry_delay": pendulum.duration(seconds=30),
    },
    tags=["dbt Cloud", "CI"],
    doc_md=__doc__,
)
def check_dbt_pull_request() -> None:
    @task(multiple_outputs=True)
    def read_form(params: dict[str, Any]) -> dict[str, Any]:
        number, commit, closed = params["pull_request"], params["commit"], params["closed"]
        if unknown := ", ".join(params.keys() - PARAMS.keys()):
            raise AirflowFailException(f"The form has no field {unknown}: correct the call.")
        if not (number or commit or closed):
            raise AirflowSkipException("The form is empty: nothing to check.")
        if not number or not (commit or closed):
            raise AirflowFailException(
                "Set the number of the pull request, and its commit or closed."
            )
        of_pull_request = {PULL_REQUEST_ID: number}
        state = {"git_sha": commit, "git_branch": params["branch"]}
        return {
            "steps": [DROP_SCHEMA] if closed else None,
            "schema": f"dbt_cloud_pr_{JOB_ID}_{number}",
            "more": of_pull_request if closed else of_pull_request | state,
        }

    form = read_form()
    trigger_dbt_cloud_job_run = pull_requests.DbtCloudCheckPullRequestOperator(
        task_id="trigger_dbt_cloud_job_run",
        dbt_cloud_conn_id=DBT_CLOUD_CONN_ID,
        job_id=JOB_ID,
        steps_override=form["steps"],
        schema_override=form["schema"],
        additional_run_config=form["more"],
        check_interval=5,  # seconds
        execution_timeout=pendulum.duration(hours=1),
        retry_policy=NO_RETRY_OF_FAILED_CHECKS,
    )

    @teardown
    def report_check(**context: Any) -> dict[str, Any]:
        triggered = {"task_ids": "trigger_dbt_cloud_job_run", "key": "job_run_id"}
        run_id = context["ti"].xcom_pull(**triggered)
        if run_id is None:
            raise AirflowSkipException("No dbt Cloud run was started: nothing to report.")
        return pull_requests.report_check(run_id, DBT_CLOUD_CONN_ID)

    trigger_dbt_cloud_job_run >> report_check()


check_dbt_pull_request()

"""
### Check a dbt pull request

Builds and tests in dbt Cloud what a pull request changes, in a schema of its own, and reads all
else from production ("Slim CI"). Your git host starts it with one call of Airflow's API, or
somebody fills in the form. docs/ci_cd.md has the call for each git host.

- A newer commit of the same pull request cancels the older one's run.
- The result names what was built, what was read from production and which tests failed. A check
  that has failed is not tried again by itself: clear its task for that.
- `closed` drops the schema. A run of the same job does it, with the macro
  `drop_pull_request_schema`: dbt Cloud itself drops only what its own git webhooks started.

**Needs** Airflow 3.3, the connection `dbt_cloud_default` (the local dbt Cloud as cloned), and a job
`dbt build --select state:modified+` that defers to production.

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
    "pull_request": Param(None, type=["null", "integer"], minimum=1, title="Its number"),
    "commit": Param(None, type=["null", "string"], pattern="^[0-9a-f]{40}$", title="Full commit"),
    "branch": Param(None, type=["null", "string"], title="Branch, for dbt Cloud's pages"),
    "closed": Param(False, type="boolean", title="Closed or merged: drop its schema"),
}
# dbt's verdict is final. By `sdk.`: Airflow 3.2 is to hear from include/dbt_cloud what it lacks.
VERDICT = sdk.RetryRule(DbtCloudJobRunException, sdk.RetryAction.FAIL, reason="dbt has said no.")
NO_SECOND_OPINION = sdk.ExceptionRetryPolicy([VERDICT])


@dag(
    schedule=None,
    start_date=pendulum.datetime(2026, 4, 1, tz="UTC"),
    catchup=False,
    max_active_runs=16,  # a newer commit does not wait for an older one's end
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
            raise AirflowFailException(f"There is no {unknown} in the form: correct the call.")
        if not (number or commit or closed):
            raise AirflowSkipException("The form is empty: there is nothing to check.")
        if not number or not (commit or closed):
            raise AirflowFailException(
                "Name the pull request, and its commit or that it is closed."
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
        retry_policy=NO_SECOND_OPINION,
    )

    @teardown
    def report_check(**context: Any) -> dict[str, Any]:
        triggered = {"task_ids": "trigger_dbt_cloud_job_run", "key": "job_run_id"}
        run_id = context["ti"].xcom_pull(**triggered)
        if run_id is None:
            raise AirflowSkipException("dbt Cloud has started no run: there is nothing to report.")
        return pull_requests.report_check(run_id, DBT_CLOUD_CONN_ID)

    trigger_dbt_cloud_job_run >> report_check()


check_dbt_pull_request()

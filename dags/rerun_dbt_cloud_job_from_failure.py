"""
### Rerun a dbt Cloud job from the point of failure

Resumes exactly one failed run: the one named in the form, by default the job's newest failed run.
dbt Cloud then runs the failed step again from the failed node, and the steps that were skipped.

If dbt Cloud cannot, the log says why, and what failed or was skipped is built again with all that
depends on it.

**Needs** Airflow 3.3 and the connection `dbt_cloud_default` (the local dbt Cloud as cloned).

**To use it elsewhere** copy this file and set `JOB_ID`.
"""

from __future__ import annotations

import logging
import shlex
from typing import Any

import pendulum
from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudHook, DbtCloudJobRunStatus
from airflow.providers.dbt.cloud.sensors.dbt import DbtCloudJobRunSensor
from airflow.sdk import Param, dag, task
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

# https://YOUR_ACCESS_URL/deploy/16173/projects/36467/jobs/65767
JOB_ID = 65767

# https://docs.getdbt.com/docs/deploy/retry-jobs
REASONS = {
    "RETRY_UNSUPPORTED_CMD": "dbt cannot retry the command that failed",
    "RETRY_UNSUPPORTED_VERSION": "the job's dbt version is older than 1.6",
    "RETRY_NOT_LATEST_RUN": "the job has run again since",
    "RETRY_NOT_FAILED_RUN": "the run did not fail",
    "RETRY_NO_RUN_RESULTS": "the run failed before dbt had built anything",
}
FAILED = DbtCloudJobRunStatus.ERROR.value
REBUILT = ("error", "fail", "runtime error", "skipped")
log = logging.getLogger(__name__)


def newest_run(hook: DbtCloudHook, **filters: int) -> dict[str, Any] | None:
    """The job's newest run that fits, in one API call."""
    newest = {"job_definition_id": JOB_ID, "order_by": "-id", "limit": 1}
    return next(iter(hook.get_job_runs(payload=newest | filters).json()["data"]), None)


def rebuild(hook: DbtCloudHook, run: dict[str, Any]) -> list[str] | None:
    """One dbt build of what failed or was skipped and all that depends on it; None: all steps."""
    step = next(step["index"] for step in run["run_steps"] if step["status"] == FAILED)
    try:
        artifact = hook.get_job_run_artifact(run["id"], "run_results.json", step=step)
    except AirflowException:  # the step failed before dbt built anything
        return None
    failed = [node for node in artifact.json()["results"] if node["status"] in REBUILT]
    nodes = [node["unique_id"].split(".")[2] + "+" for node in failed]
    return [shlex.join(["dbt", "build", "--select", *nodes])] if nodes else None


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
    def resume_or_rebuild(params: dict[str, Any]) -> int:
        hook = DbtCloudHook()
        failed = params["run_id"] or (newest_run(hook, status=FAILED) or {}).get("id")
        if failed is None:
            raise AirflowSkipException(f"Job {JOB_ID} has no failed run to resume.")
        newest = newest_run(hook)
        if newest and newest["retrying_run_id"] == failed:
            return newest["id"]  # resumed before: this is a retry of this task
        run = hook.get_job_run(failed, include_related=["run_steps", "trigger"]).json()["data"]
        if run["can_retry"]:
            hook.method = "POST"  # the provider has no call for this; `run` brings host and token
            resumed = hook.run(f"api/v2/accounts/{run['account_id']}/runs/{failed}/retry/")
            return resumed.json()["data"]["id"]
        why = run["retry_not_supported_reason"]
        if why == "RETRY_NOT_FAILED_RUN":
            raise AirflowFailException(f"Run {failed} did not fail.")
        log.warning("Run %s cannot be resumed: %s", failed, REASONS.get(why, why))
        rebuilt = hook.trigger_job_run(
            job_id=JOB_ID,
            cause=f"Airflow builds again what failed in run {failed}",
            steps_override=rebuild(hook, run),
            schema_override=run["trigger"]["schema_override"],
        )
        return rebuilt.json()["data"]["id"]

    DbtCloudJobRunSensor(
        task_id="wait_for_dbt_cloud_run",
        run_id=resume_or_rebuild(),
        deferrable=True,
        poke_interval=5,  # seconds
    )


rerun_dbt_cloud_job_from_failure()

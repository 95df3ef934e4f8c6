"""
### Run a dbt Cloud job with a form

Builds the nodes of the trigger form: models, exclusions, variables, full refresh, schema, target.
The form becomes one `dbt build` that replaces the job's own commands for this run. Use it for
backfills and repairs by people without access to dbt Cloud.

- Another schema is empty at first: `orders+` fails there, since the parents of orders are missing,
  unless "Read from production" is chosen. A failed build is not retried.
- The form accepts dbt's selection syntax only: no value becomes an option or a second command.

**Needs** the connection `dbt_cloud_default` (as cloned, the local dbt Cloud).

**To use it elsewhere** copy this file and set `JOB_ID`, and in `DEFERRING_JOB_ID` one that defers.
"""

from __future__ import annotations

import json
import shlex
from typing import Any

import pendulum
from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudJobRunException
from airflow.providers.dbt.cloud.operators.dbt import DbtCloudRunJobOperator
from airflow.sdk import Param, dag, task

# https://YOUR_ACCESS_URL/deploy/16173/projects/36467/jobs/65767
JOB_ID = 65767
DBT_CLOUD_CONN_ID = "dbt_cloud_default"  # its login is your account id
DEFERRING_JOB_ID = 48621

# No word starts with a dash: https://docs.getdbt.com/reference/node-selection/syntax
WORD = r"[\w+@*.:/,][\w+@*.:/,-]*"
SELECTION: dict[str, Any] = {"type": ["null", "string"], "pattern": rf"^({WORD}( {WORD})*)?$"}
NAME: dict[str, Any] = {"type": ["null", "string"], "pattern": r"^[A-Za-z_][A-Za-z0-9_]{0,62}$"}
PARAMS = {
    "select": Param(None, **SELECTION, title="Models to build, like orders+ or tag:daily (all)"),
    "exclude": Param(None, **SELECTION, title="Models to leave out, like stg_stores (none)"),
    "vars": Param({}, type="object", title="Variables", description='JSON: {"name": "value"}'),
    "full_refresh": Param(False, type="boolean", title="Rebuild incremental models"),
    "schema": Param(None, **NAME, title="Other schema"),
    "defer": Param(False, type="boolean", title="Read other models from production"),
    "target": Param(None, **NAME, title="Other target name"),
}


class RunJobOperator(DbtCloudRunJobOperator):
    """Retries failed calls, but no failed run, since dbt would fail again."""

    def execute(self, context: Any, event: Any = None) -> Any:
        try:
            return super().execute_complete(context, event) if event else super().execute(context)
        except DbtCloudJobRunException as error:
            raise AirflowFailException(str(error)) from None

    execute_complete = execute  # after waiting


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
def run_dbt_cloud_job_with_form() -> None:
    @task(multiple_outputs=True)
    def read_form(params: dict[str, Any]) -> dict[str, Any]:
        if params["defer"] and not params["schema"]:
            raise AirflowFailException("To read from production, set another schema to build in.")
        command = ["dbt", "build"]
        for option in ("select", "exclude"):
            if words := (params[option] or "").split():
                command += [f"--{option}", *words]
        if params["vars"]:
            # Escaped apostrophes need no shell quoting.
            command += ["--vars", json.dumps(params["vars"]).replace("'", "\\u0027")]
        if params["full_refresh"]:
            command.append("--full-refresh")
        return {
            "job": DEFERRING_JOB_ID if params["defer"] else JOB_ID,
            "steps": [shlex.join(command)],
            "schema": params["schema"],
            "more": {"target_name_override": params["target"]},
        }

    form = read_form()
    RunJobOperator(
        task_id="trigger_dbt_cloud_job_run",
        dbt_cloud_conn_id=DBT_CLOUD_CONN_ID,
        job_id=form["job"],
        steps_override=form["steps"],
        schema_override=form["schema"],
        additional_run_config=form["more"],
        deferrable=True,
        check_interval=5,  # seconds
        execution_timeout=pendulum.duration(hours=1),
    )


run_dbt_cloud_job_with_form()

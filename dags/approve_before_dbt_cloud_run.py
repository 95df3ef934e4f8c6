"""
### Approve before a dbt Cloud run

Shows a person what a build of all that has changed would build, waits for the answer, and then
builds just that, or nothing. Use it where somebody is to look before production changes.

- A dbt Cloud run lists what differs from production's newest state and all that follows from it
  (`dbt ls --select state:modified+`). Has nothing changed, nobody is asked.
- The question is on the task `approve`, under **Required Actions**; with a connection
  `notify_email`, `notify_slack` or `notify_webhook` people hear of it. Without an answer in time
  nothing is built.
- What was listed is built by name, out of the commit that was listed, although the branch may have
  moved on. The run's cause in dbt Cloud names who has approved. Clear `compare_with_production` to
  list again.

**Needs** Airflow 3.3, the connection `dbt_cloud_default` (the local dbt Cloud as cloned), a job of
production to build, and one of another environment, on the same branch, that compares with
production.

**To use it elsewhere** set `JOB_ID` and `LIST_JOB_ID`. docs/ci_cd.md tells how to make the
two jobs.
**Copy with** include/dbt_cloud/
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pendulum
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import dag, task
from airflow.sdk.execution_time.hitl import HITLUser

from include.dbt_cloud import DbtCloudRunJobExactlyOnceOperator, changes, notifications

# https://YOUR_ACCESS_URL/deploy/16173/projects/36467/jobs/48622
JOB_ID = 48622
LIST_JOB_ID = 48621
DBT_CLOUD_CONN_ID = "dbt_cloud_default"  # its login is your account id
# For example [{"id": "jane", "name": "Jane"}]; None is everybody who may run the Dag.
APPROVERS: list[HITLUser] | None = None
PATIENCE = timedelta(hours=12)
WITHOUT_ANSWER = ApprovalOperator.REJECT
CAUSE = (
    "{% set by = ti.xcom_pull(task_ids='approve')['responded_by_user'] %}"
    "Approved by {{ by['name'] if by else 'nobody, in time' }}: {{ dag.dag_id }}, {{ run_id }}"
)


@dag(
    schedule=None,
    start_date=pendulum.datetime(2026, 4, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,  # one question at a time
    default_args={
        "owner": "analytics-engineering",
        "retries": 2,
        "retry_delay": pendulum.duration(seconds=30),
    },
    tags=["dbt Cloud", "CI"],
    doc_md=__doc__,
)
def approve_before_dbt_cloud_run() -> None:
    @task(multiple_outputs=True)
    def compare_with_production() -> dict[str, Any]:
        return changes.how_to_list(LIST_JOB_ID, JOB_ID, DBT_CLOUD_CONN_ID)

    wanted = compare_with_production()
    list_changes = DbtCloudRunJobExactlyOnceOperator(
        task_id="list_changes",
        dbt_cloud_conn_id=DBT_CLOUD_CONN_ID,
        job_id=wanted["job_id"],
        steps_override=wanted["steps"],
        schema_override=wanted["schema"],
        check_interval=5,  # seconds
        execution_timeout=pendulum.duration(hours=1),
    )

    @task(multiple_outputs=True)
    def read_changes(listed_by: int) -> dict[str, Any]:
        return changes.read_changes(listed_by, DBT_CLOUD_CONN_ID)

    found = read_changes(list_changes.output)
    approve = ApprovalOperator(
        task_id="approve",
        subject=found["subject"],
        body=found["body"],
        assigned_users=APPROVERS,
        response_timeout=PATIENCE,
        defaults=WITHOUT_ANSWER,
        notifiers=[notifications.NotifyWaiting()],
    )
    trigger_dbt_cloud_job_run = DbtCloudRunJobExactlyOnceOperator(
        task_id="trigger_dbt_cloud_job_run",
        dbt_cloud_conn_id=DBT_CLOUD_CONN_ID,
        job_id=JOB_ID,
        steps_override=found["steps"],
        additional_run_config=found["state"],
        trigger_reason=CAUSE,
        check_interval=5,  # seconds
        execution_timeout=pendulum.duration(hours=1),
    )

    approve >> trigger_dbt_cloud_job_run


approve_before_dbt_cloud_run()

"""
### Approve before a dbt Cloud run

Lists all models that have changed, waits for a person's approval, and then builds exactly these, or
nothing. Use it to review a build before it changes production.

- A dbt Cloud run lists the nodes that differ from production's newest state, and their children
  (`dbt ls --select state:modified+`). If nothing has changed, no approval is requested.
- The question is on the task `approve`, under **Required Actions**. With a connection
  `notify_email`, `notify_slack` or `notify_webhook` it is also sent as a message. Without an answer
  in time nothing is built.
- The listed nodes are built by name, from the listed commit, even if the branch has newer ones. The
  run's cause in dbt Cloud names the approver. Clear `compare_with_production` to list again.

**Needs** Airflow 3.3, the connection `dbt_cloud_default` (as cloned, the local dbt Cloud), a job of
production to build, and one of another environment, on the same branch, that compares with
production.

**To use it elsewhere** set `JOB_ID` and `LIST_JOB_ID` (as cloned, docs/ci_cd.md
describes how to create the two jobs).
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
# For example [{"id": "jane", "name": "Jane"}]; None allows all users who can run the Dag.
APPROVERS: list[HITLUser] | None = None
RESPONSE_TIMEOUT = timedelta(hours=12)
WITHOUT_ANSWER = ApprovalOperator.REJECT
CAUSE = (
    "{% set by = ti.xcom_pull(task_ids='approve')['responded_by_user'] %}"
    "Approved by {{ by['name'] if by else 'time-out' }}: {{ dag.dag_id }}, {{ run_id }}"
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

    listing = compare_with_production()
    list_changes = DbtCloudRunJobExactlyOnceOperator(
        task_id="list_changes",
        dbt_cloud_conn_id=DBT_CLOUD_CONN_ID,
        job_id=listing["job_id"],
        steps_override=listing["steps"],
        schema_override=listing["schema"],
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
        response_timeout=RESPONSE_TIMEOUT,
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

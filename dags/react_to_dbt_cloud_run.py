"""
### React to a dbt Cloud run

Starts when a run of one job has finished, even if dbt Cloud's schedule, a person or another tool
started it. After a success it rewrites a list for marketing, after a failure it sends a message
with the failed nodes.

- dbt Cloud's webhook reports the run, and the Dag run starts about a second later.
- Runs that finish in quick succession share a Dag run, which handles each of them.
- The log of `read_runs` has each run's cause. A manual Dag run uses the newest run.

**Needs** Airflow 3.3, the connection `dbt_cloud_default` (as cloned, the local dbt Cloud), the
plugin `receive_dbt_cloud_webhooks` and duckdb. Messages go to `notify_email`, `notify_slack` and
`notify_webhook`, or to the task's log without such a connection.

**To use it elsewhere** set `JOB_ID`, and replace `refresh_quiet_customers`.
**Copy with** include/dbt_cloud/, include/shop/, plugins/receive_dbt_cloud_webhooks.py
"""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import Any

import pendulum
from airflow.providers.common.compat.sdk import AirflowSkipException
from airflow.sdk import dag, task

from include.dbt_cloud import notifications
from include.dbt_cloud.events import finished_runs, job_runs, newest_finished_run
from include.shop.local_warehouse import open_local_warehouse

# https://YOUR_ACCESS_URL/deploy/16173/projects/36467/jobs/48630
JOB_ID = 48630
DBT_CLOUD_CONN_ID = "dbt_cloud_default"  # its login is your account id
log = logging.getLogger(__name__)
QUIET_CUSTOMERS = """
    create or replace table marketing.quiet_customers as
    select customer_id, email, last_ordered_at, lifetime_spend from analytics.customers
    where has_email and last_ordered_at
        < (select max(last_ordered_at) from analytics.customers) - interval 60 days
"""


@dag(
    schedule=job_runs(JOB_ID, DBT_CLOUD_CONN_ID),
    start_date=pendulum.datetime(2026, 4, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    default_args={
        "owner": "analytics-engineering",
        "retries": 2,
        "retry_delay": pendulum.duration(seconds=30),
    },
    tags=["dbt Cloud", "assets"],
    doc_md=__doc__,
)
def react_to_dbt_cloud_run() -> None:
    @task
    def read_runs(triggering_asset_events: Any = None) -> list[dict[str, Any]]:
        runs = finished_runs(triggering_asset_events)
        if not runs and (newest := newest_finished_run(JOB_ID, DBT_CLOUD_CONN_ID)):
            runs = [newest]
        if not runs:
            raise AirflowSkipException(f"Job {JOB_ID} has no finished run: start one in dbt Cloud.")
        for run in runs:
            log.info("%s: %s. Started by: %s", run.url, run.status, run.cause)
        return [asdict(run) for run in runs]

    @task
    def refresh_quiet_customers(runs: list[dict[str, Any]]) -> int:
        if not any(run["status"] == "success" for run in runs):
            raise AirflowSkipException("No run succeeded: the old table is kept.")
        with open_local_warehouse(DBT_CLOUD_CONN_ID) as warehouse:
            warehouse.execute("create schema if not exists marketing")
            warehouse.execute(QUIET_CUSTOMERS)
            rows, _columns = warehouse.table("marketing.quiet_customers").shape
        return rows

    @task
    def notify_people(runs: list[dict[str, Any]], **context: Any) -> list[int]:
        failed = [run["run_id"] for run in runs if run["status"] != "success"]
        if not failed:
            raise AirflowSkipException("All runs succeeded; no notification is needed.")
        for run_id in failed:
            notifications.notify_failed_run(context, run_id, DBT_CLOUD_CONN_ID)
        return failed

    runs = read_runs()
    refresh_quiet_customers(runs)
    notify_people(runs)


react_to_dbt_cloud_run()

"""
### React to a dbt Cloud run

Starts when a run of one job has ended, whoever started it: dbt Cloud's own schedule, a person,
another tool. After a success it writes a list for marketing anew, after a failure it tells people
which nodes failed.

- dbt Cloud's webhook tells Airflow of the run, and the Dag run begins about a second later.
- Runs that end in quick succession share a Dag run; each is told of.
- The log of `read_runs` says who or what started them. Run by hand, it takes the newest run.

**Needs** Airflow 3.3, the connection `dbt_cloud_default` (the local dbt Cloud as cloned), the
plugin `receive_dbt_cloud_webhooks` and duckdb. With `notify_email`, `notify_slack` or
`notify_webhook` messages go there, else to the task's log.

**To use it elsewhere** set `JOB_ID`, and bring your own `refresh_quiet_customers`.
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
            raise AirflowSkipException(f"No run of job {JOB_ID} has ended: start one in dbt Cloud.")
        for run in runs:
            log.info("%s: %s. Who or what started it: %s", run.url, run.status, run.cause)
        return [asdict(run) for run in runs]

    @task
    def refresh_quiet_customers(runs: list[dict[str, Any]]) -> int:
        if not any(run["status"] == "success" for run in runs):
            raise AirflowSkipException("No run has succeeded: the old table stays.")
        with open_local_warehouse(DBT_CLOUD_CONN_ID) as warehouse:
            warehouse.execute("create schema if not exists marketing")
            warehouse.execute(QUIET_CUSTOMERS)
            rows, _columns = warehouse.table("marketing.quiet_customers").shape
        return rows

    @task
    def tell_people(runs: list[dict[str, Any]], **context: Any) -> list[int]:
        failed = [run["run_id"] for run in runs if run["status"] != "success"]
        if not failed:
            raise AirflowSkipException("All runs have succeeded: there is nobody to tell.")
        for run_id in failed:
            notifications.notify_failed_run(context, run_id, DBT_CLOUD_CONN_ID)
        return failed

    runs = read_runs()
    refresh_quiet_customers(runs)
    tell_people(runs)


react_to_dbt_cloud_run()

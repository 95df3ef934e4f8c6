"""
### Gate on fresh sources

Ingests, waits for fresh dbt sources, runs the dbt Cloud job, checks the marts and notifies the
consumers. Use it when wrong numbers are worse than late ones: dbt never runs on stale data.

- The gate reads `sources.json` of a dbt Cloud job that runs `dbt source freshness`. While a source
  is stale it checks again, without a worker slot; after `max_wait` the Dag run fails with the names
  and ages of the stale sources.
- A failed check lists the invalid rows. Consumers are notified only after all tasks succeeded.
- A Dag run that misses its deadline sends a message. Deadline Alerts are experimental in Airflow,
  replace its SLAs, and need a scheduler (as cloned, `make run` sends none).

**Needs** Airflow 3.3, the connection `dbt_cloud_default` (as cloned, the local dbt Cloud) and
duckdb. Messages go to `notify_email`, `notify_slack` and `notify_webhook`, or to the task's log
without such a connection.

**To use it elsewhere** set `FRESHNESS_JOB_ID`, `JOB_ID` and `SOURCE`, and use your own `ingest` and
checks of your marts.
**Copy with** include/dbt_cloud/, include/raw_data/, include/shop/
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pendulum
from airflow import sdk
from airflow.sdk import ObjectStoragePath, Param, dag, task
from airflow.timetables.interval import CronDataIntervalTimetable

from include.dbt_cloud import DbtCloudRunJobExactlyOnceOperator, freshness, notifications
from include.shop.checks import run_checks
from include.shop.ingest import ingest_files
from include.shop.local_warehouse import open_local_warehouse

# https://YOUR_ACCESS_URL/deploy/16173/projects/36467/jobs/48620
FRESHNESS_JOB_ID = 48620
JOB_ID = 30605
DBT_CLOUD_CONN_ID = "dbt_cloud_default"  # its login is your account id
SOURCE = ObjectStoragePath(f"file://{Path(__file__).parents[1]}/include/raw_data")


@dag(
    schedule=CronDataIntervalTimetable("0 7 * * *", timezone="UTC"),
    start_date=pendulum.datetime(2026, 4, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    params={"max_wait": Param(120, type="number", minimum=0, title="Minutes to wait for sources")},
    # `sdk.`, since Airflow 3.1 lacks these; include/dbt_cloud then reports the required version.
    deadline=sdk.DeadlineAlert(
        reference=sdk.DeadlineReference.DAGRUN_QUEUED_AT,
        interval=timedelta(hours=3),
        callback=sdk.AsyncCallback(notifications.notify_late),
    ),
    default_args={
        "owner": "analytics-engineering",
        "retries": 2,
        "retry_delay": pendulum.duration(seconds=30),
        "on_failure_callback": notifications.notify_failure,
    },
    tags=["dbt Cloud", "ELT"],
    doc_md=__doc__,
)
def gate_on_fresh_sources() -> None:
    @task
    def ingest(**context: Any) -> dict[str, int]:
        with open_local_warehouse(DBT_CLOUD_CONN_ID) as warehouse:
            if context["dag_run"].run_type not in ("scheduled", "backfill"):
                return ingest_files(warehouse, SOURCE)  # a manual run loads all rows
            start, end = context["data_interval_start"], context["data_interval_end"]
            return ingest_files(warehouse, SOURCE, start, end)

    wait_for_sources = freshness.WaitForFreshSourcesOperator(
        task_id="wait_for_sources",
        job_id=FRESHNESS_JOB_ID,
        dbt_cloud_conn_id=DBT_CLOUD_CONN_ID,
        max_wait="{{ params.max_wait }}",
        check_interval=300,  # seconds
    )

    trigger_dbt_cloud_job_run = DbtCloudRunJobExactlyOnceOperator(
        task_id="trigger_dbt_cloud_job_run",
        job_id=JOB_ID,
        dbt_cloud_conn_id=DBT_CLOUD_CONN_ID,
        check_interval=2,  # seconds
        execution_timeout=pendulum.duration(hours=1),
    )

    @task
    def check_marts() -> dict[str, str]:
        with open_local_warehouse(DBT_CLOUD_CONN_ID) as warehouse:
            return run_checks(warehouse)

    @task
    def notify_consumers(**context: Any) -> None:
        notifications.notify_success(context, "The marts are fresh and checked.")

    ingest() >> wait_for_sources >> trigger_dbt_cloud_job_run >> check_marts() >> notify_consumers()


gate_on_fresh_sources()

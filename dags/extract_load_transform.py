"""
### Extract, load, transform, train

The shop's files become Parquet in a landing zone, rows in the warehouse's `raw` schema, models
built by a dbt Cloud job, and a small regression on the mart `customers`.

- A scheduled or backfilled Dag run loads the rows received in its data interval; a manual one, all.
- `load` replaces exactly these rows in one transaction, so that it can be repeated.
- Clear `trigger_dbt_cloud_job_run` to transform and train again without extracting or loading.

**Needs** the connection `dbt_cloud_default` (as cloned, the local dbt Cloud), duckdb, scikit-learn.

**To use it elsewhere** set `JOB_ID`, and `SOURCE` and `LANDING` to `s3://` or `gs://` addresses.
**Copy with** include/raw_data/, include/shop/
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pendulum
from airflow.providers.dbt.cloud.operators.dbt import DbtCloudRunJobOperator
from airflow.sdk import ObjectStoragePath, dag, task
from airflow.timetables.interval import CronDataIntervalTimetable

from include.shop.ingest import load_table, loading
from include.shop.local_warehouse import open_local_warehouse
from include.shop.warehouse import warehouse_path

# https://YOUR_ACCESS_URL/deploy/16173/projects/36467/jobs/30605
JOB_ID = 30605
DBT_CLOUD_CONN_ID = "dbt_cloud_default"  # its login is your account id
SOURCE = ObjectStoragePath(f"file://{Path(__file__).parents[1]}/include/raw_data")
LANDING = ObjectStoragePath(f"file://{warehouse_path().parent}/landing")
TABLES = ("customers", "order_items", "orders", "payments", "products", "stores")


def received(context: Any) -> str:
    """Return the SQL condition for the rows of the data interval, or all rows in a manual run."""
    if context["dag_run"].run_type not in ("scheduled", "backfill"):
        return "true"
    start, end = context["data_interval_start"], context["data_interval_end"]
    return f"received_at >= '{start}' and received_at < '{end}'"


@dag(
    schedule=CronDataIntervalTimetable("0 6 * * *", timezone="UTC"),
    start_date=pendulum.datetime(2026, 4, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    default_args={
        "owner": "analytics-engineering",
        "retries": 2,
        "retry_delay": pendulum.duration(seconds=30),
    },
    tags=["dbt Cloud", "ELT"],
    doc_md=__doc__,
)
def extract_load_transform() -> None:
    @task
    def extract(**context: Any) -> dict[str, int]:
        landing = LANDING / context["run_id"]
        landing.mkdir(parents=True, exist_ok=True)
        rows = {}
        with duckdb.connect() as engine:
            for storage in {place.protocol: place.fs for place in (SOURCE, LANDING)}.values():
                engine.register_filesystem(storage)
            for table in TABLES:
                selected = f"from read_csv('{SOURCE}/{table}.csv*') where {received(context)}"
                copied = engine.execute(f"copy ({selected}) to '{landing}/{table}.parquet'")
                (rows[table],) = copied.fetchone() or (0,)
        return rows

    @task
    def load(**context: Any) -> dict[str, int]:
        landing = LANDING / context["run_id"]
        with open_local_warehouse(DBT_CLOUD_CONN_ID) as warehouse:
            warehouse.register_filesystem(LANDING.fs)
            with loading(warehouse):
                return {
                    table: load_table(
                        warehouse, table, f"from '{landing}/{table}.parquet'", received(context)
                    )
                    for table in TABLES
                }

    trigger_dbt_cloud_job_run = DbtCloudRunJobOperator(
        task_id="trigger_dbt_cloud_job_run",
        job_id=JOB_ID,
        dbt_cloud_conn_id=DBT_CLOUD_CONN_ID,
        deferrable=True,
        check_interval=2,  # seconds
        execution_timeout=pendulum.duration(hours=1),
        # No reuse_existing_run or retry_from_failure, since that run started before the load.
    )

    @task
    def train_model() -> dict[str, float]:
        from include.shop.regression import train_spend_model  # scikit-learn is slow to import

        with open_local_warehouse(DBT_CLOUD_CONN_ID) as warehouse:
            return train_spend_model(warehouse)

    extract() >> load() >> trigger_dbt_cloud_job_run >> train_model()


extract_load_transform()

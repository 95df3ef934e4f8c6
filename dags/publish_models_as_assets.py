"""
### Publish models as assets

Runs a dbt Cloud job with a task per model, and publishes each model that was built as an asset,
while the run still goes on: whoever is scheduled on one model's asset need not wait for the others.

- The event is sent once the model is built and its tests have passed: a failing test holds it back.
- No event for a model that failed, was skipped, or was reused (it is current, but was not built).
- The event's extra has seconds, rows where dbt tells them, the run, and tests that only warned.
- The asset's URI is the one that Cosmos gives the model: both can feed one Dag.

**Needs** the connection `dbt_cloud_default` (the local dbt Cloud as cloned) and Airflow 3.3.

**To use it elsewhere** set `JOB_ID` and `NAMESPACE`, then run `write_lineage`. What is
published takes a worker for a second: `select` the models that somebody waits for.
**Copy with** include/dbt_cloud/, include/lineage/, dags/write_lineage.py
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pendulum
from airflow.sdk import dag

from include.dbt_cloud.models import dbt_cloud_models

# https://YOUR_ACCESS_URL/deploy/16173/projects/36467/jobs/65767
JOB_ID = 65767
DBT_CLOUD_CONN_ID = "dbt_cloud_default"  # its login is your account id
LINEAGE = Path(__file__).parents[1] / "include" / "lineage" / "daily_build.json"
# As https://openlineage.io/docs/spec/naming/ names the warehouse: snowflake://ACCOUNT, bigquery
NAMESPACE = "duckdb://include/.local/warehouse.duckdb"


@dag(
    schedule=None,
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
def publish_models_as_assets() -> None:
    dbt_cloud_models(
        "jaffle_shop",
        job_id=JOB_ID,
        dbt_cloud_conn_id=DBT_CLOUD_CONN_ID,
        lineage=LINEAGE,
        namespace=NAMESPACE,
        check_interval=2,  # seconds
        execution_timeout=timedelta(hours=1),
    )


publish_models_as_assets()

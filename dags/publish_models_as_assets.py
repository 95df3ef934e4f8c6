"""
### Publish models as assets

Runs a dbt Cloud job with a task per model, and publishes each built model as an asset while the run
is active. A Dag scheduled on one model's asset does not wait for the other models.

- The event is sent once the model is built and its tests have passed; a failed test prevents it.
- A model that failed, was skipped, or was reused (current, but not built) has no event.
- The event's extra has seconds, rows if dbt reports them, the run, and tests that warned.
- The asset's URI is the same as in Cosmos, so that both can trigger one Dag.

**Needs** the connection `dbt_cloud_default` (as cloned, the local dbt Cloud) and Airflow 3.3.

**To use it elsewhere** set `JOB_ID` and `NAMESPACE`, then run `write_lineage`. Each event takes a
worker for a second: `select` only the models that other Dags use.
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
        exclude=["folder:incremental"],  # another job builds it
        namespace=NAMESPACE,
        check_interval=2,  # seconds
        execution_timeout=timedelta(hours=1),
    )


publish_models_as_assets()

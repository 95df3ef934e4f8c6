"""
### Keep dbt Cloud's history

Stores the results of each finished run of the account, started by Airflow or not, and publishes the
built models as assets. The page "dbt Cloud" in Airflow's menu shows run times, slower models,
failed tests and dbt's documentation.

- One small file per run under `HISTORY`, about 140 bytes a node; the newest 200 runs of each job.
- A manual Dag run stores the run named in the form, or the newest runs that are not stored yet.
- A model's event is sent once, after build and tests, unless `publish_models_as_assets` sent it.
  Runs for pull requests and into other schemas are stored, but publish nothing.
- If OpenLineage is configured, the lineage of runs that Airflow did not start is emitted too.

**Needs** Airflow 3.3, the connection `dbt_cloud_default` (as cloned, the local dbt Cloud), the
plugin `receive_dbt_cloud_webhooks` and, for the page, the plugin `show_dbt_cloud`.

**To use it elsewhere** set `HISTORY` to an `s3://` or `gs://` address, also in
plugins/show_dbt_cloud.py, and `NAMESPACE`.
**Copy with** include/dbt_cloud/, plugins/receive_dbt_cloud_webhooks.py, plugins/show_dbt_cloud.py
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pendulum
from airflow.sdk import AssetAlias, ObjectStoragePath, Param, dag, task

from include.dbt_cloud import models, reports
from include.dbt_cloud.events import account_runs, finished_runs
from include.dbt_cloud.lineage_events import emit_lineage

DBT_CLOUD_CONN_ID = "dbt_cloud_default"  # its login is your account id
HISTORY = ObjectStoragePath(f"file://{Path(__file__).parents[1]}/include/.local/history")
# As https://openlineage.io/docs/spec/naming/ names the warehouse: snowflake://ACCOUNT, bigquery
NAMESPACE = "duckdb://include/.local/warehouse.duckdb"
MODELS = AssetAlias("dbt_cloud_models")


@dag(
    schedule=account_runs(DBT_CLOUD_CONN_ID),
    start_date=pendulum.datetime(2026, 4, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    params={"run_id": Param(None, type=["null", "integer"], title="Run (default: the newest)")},
    default_args={
        "owner": "analytics-engineering",
        "retries": 2,
        "retry_delay": pendulum.duration(seconds=30),
    },
    tags=["dbt Cloud", "assets"],
    doc_md=__doc__,
)
def keep_dbt_cloud_history() -> None:
    @task
    def find_runs(params: dict[str, Any], triggering_asset_events: Any = None) -> list[int]:
        if params["run_id"] is not None:
            return [params["run_id"]]
        finished = [run.run_id for run in finished_runs(triggering_asset_events)]
        return finished or reports.runs_not_kept(HISTORY, DBT_CLOUD_CONN_ID)

    @task(outlets=[MODELS])
    def keep_runs(run_ids: list[int], outlet_events: Any = None) -> list[int]:
        kept = reports.keep_runs(run_ids, HISTORY, DBT_CLOUD_CONN_ID)
        runs = [(results.run, results.nodes) for results in kept]
        for asset, extra in models.events_of(runs, NAMESPACE, DBT_CLOUD_CONN_ID):
            outlet_events[MODELS].add(asset, extra=extra)
        run_ids = [results.run["id"] for results in kept]
        emit_lineage(run_ids, DBT_CLOUD_CONN_ID, namespace=NAMESPACE)
        return run_ids

    keep_runs(find_runs())


keep_dbt_cloud_history()

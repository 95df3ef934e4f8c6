"""
### Refresh when customers change

Starts when any Dag or tool has built the model `customers` and its tests have passed, and stores
the shop's best customers in a separate table.

- It waits for one model, not for a whole job: `publish_models_as_assets` publishes it.
- The new table replaces the old one in one transaction; without customers the old one is kept.
- A manual Dag run before the model `customers` exists is skipped.

**Needs** the connection `dbt_cloud_default` (as cloned, the local dbt Cloud), duckdb.

**To use it elsewhere** set `CUSTOMERS` to your model's asset.
**Copy with** include/shop/
"""

from __future__ import annotations

from typing import Any

import pendulum
from airflow.providers.common.compat.sdk import AirflowSkipException
from airflow.sdk import Asset, dag, task

from include.shop.local_warehouse import open_local_warehouse

DBT_CLOUD_CONN_ID = "dbt_cloud_default"  # its login is your account id
CUSTOMERS = Asset("duckdb://include/.local/warehouse.duckdb/warehouse/analytics/customers")
IS_BUILT = """
    select 1 from information_schema.tables
    where table_schema = 'analytics' and table_name = 'customers'
"""
BEST_CUSTOMERS = """
    create or replace table marketing.best_customers as
    select customer_id, count_orders, lifetime_spend from analytics.customers
    where lifetime_spend > 0 order by lifetime_spend desc, customer_id limit 100
"""


@dag(
    schedule=CUSTOMERS,
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
def refresh_when_customers_change() -> None:
    @task
    def refresh_best_customers(triggering_asset_events: Any = None) -> dict[str, Any]:
        with open_local_warehouse(DBT_CLOUD_CONN_ID) as warehouse:
            if not warehouse.execute(IS_BUILT).fetchall():
                raise AirflowSkipException("No customers yet: run publish_models_as_assets.")
            warehouse.execute("create schema if not exists marketing")
            warehouse.execute("begin")
            warehouse.execute(BEST_CUSTOMERS)
            kept = warehouse.execute(
                "select count(*), sum(lifetime_spend)::double from marketing.best_customers"
            ).fetchone()
            if not kept or not kept[0]:
                raise ValueError("No customer has spent anything: the old table is kept.")
            warehouse.execute("commit")
        events = (triggering_asset_events or {}).get(CUSTOMERS, [])
        runs = [event.extra.get("run_id") for event in events]
        return {"customers": kept[0], "lifetime_spend": kept[1], "dbt_cloud_runs": runs}

    refresh_best_customers()


refresh_when_customers_change()

"""
### Fivetran, dbt Cloud, Census

Ingests, transforms and activates data with the three vendors' own operators: a Fivetran connector
syncs new rows into the warehouse, a dbt Cloud job builds the models, a Census sync (Fivetran
Activations) sends a mart to business tools. The triggerer waits for all three, without a worker.

- A failed step stops the later ones: Census never sends a mart that dbt could not build.
- Clear `trigger_census_sync` to send again without ingesting or transforming.

As cloned, a local Fivetran loads the shop's rows, and a local Census writes the records that it
would send to `include/.local/census/`; `make run` and `make start` start them.

**Needs** airflow-provider-fivetran-async and airflow-provider-census 2.1 (without them the Dag does
not exist) and the connections `fivetran_default`, `dbt_cloud_default` and `census_default`.

**To use it elsewhere** copy this file and set `CONNECTOR_ID`, `JOB_ID` and `SYNC_ID`.
"""

from __future__ import annotations

from datetime import timedelta
from importlib.util import find_spec

import pendulum
from airflow.providers.dbt.cloud.operators.dbt import DbtCloudRunJobOperator
from airflow.sdk import dag

# Connector page of Fivetran's dashboard, tab Setup: "Fivetran Connector ID"
CONNECTOR_ID = "jaffle_shop_files"
# https://YOUR_ACCESS_URL/deploy/16173/projects/36467/jobs/30605
JOB_ID = 30605
DBT_CLOUD_CONN_ID = "dbt_cloud_default"  # its login is your account id
# https://app.getcensus.com/workspaces/WORKSPACE/syncs/51
SYNC_ID = 51


@dag(
    schedule=None,
    start_date=pendulum.datetime(2026, 4, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    default_args={
        "owner": "analytics-engineering",
        "retries": 2,
        "retry_delay": pendulum.duration(seconds=30),
        # A timedelta: the Fivetran operator defers with it, and Airflow cannot store pendulum's.
        "execution_timeout": timedelta(hours=1),
    },
    tags=["dbt Cloud", "Fivetran", "Census"],
    doc_md=__doc__,
)
def fivetran_dbt_cloud_census() -> None:
    from airflow_provider_census.operators.census import CensusOperator
    from airflow_provider_census.sensors.census import CensusSensor
    from fivetran_provider_async.operators import FivetranOperator

    sync_fivetran_connector = FivetranOperator(
        task_id="sync_fivetran_connector",
        connector_id=CONNECTOR_ID,
        poll_frequency=5,  # seconds
    )
    trigger_dbt_cloud_job_run = DbtCloudRunJobOperator(
        task_id="trigger_dbt_cloud_job_run",
        job_id=JOB_ID,
        dbt_cloud_conn_id=DBT_CLOUD_CONN_ID,
        deferrable=True,
        check_interval=5,  # seconds
    )
    trigger_census_sync = CensusOperator(task_id="trigger_census_sync", sync_id=SYNC_ID)
    wait_for_census_sync = CensusSensor(
        task_id="wait_for_census_sync",
        sync_run_id="{{ ti.xcom_pull('trigger_census_sync') }}",
        deferrable=True,
        poke_interval=5,  # seconds
    )

    (
        sync_fivetran_connector
        >> trigger_dbt_cloud_job_run
        >> trigger_census_sync
        >> wait_for_census_sync
    )


if find_spec("fivetran_provider_async") and find_spec("airflow_provider_census"):
    fivetran_dbt_cloud_census()

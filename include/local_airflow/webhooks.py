"""Lets the local dbt Cloud tell this Airflow of its finished runs."""

from __future__ import annotations

import requests

from include.local_airflow.airflow_api import AirflowApi
from include.local_airflow.dbt_cloud_in_use import leads_here
from include.local_airflow.environment import Launch
from include.local_airflow.errors import LaunchError
from include.local_airflow.local_servers import DBT_CLOUD as SERVER
from include.local_servers.connections import DBT_CLOUD
from include.local_servers.subscription import CONN_ID, RECEIVER_PATH, subscribe


def receive_webhooks(launch: Launch, api: AirflowApi) -> None:
    """Subscribe, and give Airflow the secret, unless either connection is the user's own.

    Raises:
        LaunchError: the local dbt Cloud did not take it.
    """
    if not launch.uses_local_dbt_cloud or f"AIRFLOW_CONN_{CONN_ID.upper()}" in launch.variables:
        return
    found = [api.connection(conn_id) for conn_id in (DBT_CLOUD.conn_id, CONN_ID)]
    if not all(leads_here(str(each.get("host") or "")) for each in found if each):
        return
    token = launch.variables.get("LOCAL_DBT_CLOUD_TOKEN", DBT_CLOUD.password)
    receiver = f"http://127.0.0.1:{launch.port}{RECEIVER_PATH}"
    try:
        secret = subscribe(SERVER.url(launch), token, launch.data, receiver)
    except requests.RequestException as error:
        raise LaunchError(
            f"The local dbt Cloud did not take Airflow's webhook ({error}): make stop ends it, "
            "then make start begins anew."
        ) from error
    host = f"localhost:{launch.dbt_cloud_port}"
    api.store_connection(CONN_ID, conn_type="generic", host=host, password=secret)

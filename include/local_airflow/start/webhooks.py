"""Airflow's subscription to the webhooks of the local dbt Cloud."""

from __future__ import annotations

import requests

from include.local_airflow.airflow.rest_api import AirflowApi
from include.local_airflow.errors import LaunchError
from include.local_airflow.settings.active_dbt_cloud import is_local
from include.local_airflow.settings.launch import Launch
from include.local_airflow.supervisor.local_servers import DBT_CLOUD_SERVER
from include.local_dbt_cloud.serving.connections import DBT_CLOUD
from include.local_dbt_cloud.serving.subscription import (
    CONN_ID,
    RECEIVER_PATH,
    subscribe,
)


def receive_webhooks(launch: Launch, api: AirflowApi) -> None:
    """Subscribe and store the secret in Airflow, unless either connection is the user's own.

    Raises:
        LaunchError: the local dbt Cloud rejected the subscription.
    """
    if not launch.uses_local_dbt_cloud or f"AIRFLOW_CONN_{CONN_ID.upper()}" in launch.variables:
        return
    found = [api.connection(conn_id) for conn_id in (DBT_CLOUD.conn_id, CONN_ID)]
    if not all(is_local(each.get("host"), each.get("login")) for each in found if each):
        return
    receiver = f"http://127.0.0.1:{launch.port}{RECEIVER_PATH}"
    try:
        secret = subscribe(DBT_CLOUD_SERVER.url(launch), launch.local_token, launch.data, receiver)
    except requests.RequestException as error:
        raise LaunchError(
            f"The local dbt Cloud rejected Airflow's webhook ({error}): run make stop, then make "
            "start."
        ) from error
    host = f"localhost:{launch.dbt_cloud_port}"
    api.store_connection(CONN_ID, conn_type="generic", host=host, password=secret)

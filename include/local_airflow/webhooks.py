"""Lets the local dbt Cloud tell this Airflow of its finished runs, and tells whether it does."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import requests

from include.local_airflow.airflow_api import AirflowApi
from include.local_airflow.dbt_cloud_in_use import leads_here
from include.local_airflow.doctor import Finding
from include.local_airflow.environment import Launch
from include.local_airflow.errors import LaunchError
from include.local_airflow.local_servers import DBT_CLOUD as SERVER
from include.local_servers.connections import DBT_CLOUD
from include.local_servers.subscription import (
    CONN_ID,
    RECEIVER_PATH,
    subscribe,
    subscriptions,
)

FINISHED = "job.run.completed"
BY_START = "make start subscribes it anew."
BY_HAND = f"Make one to an address that ends in {RECEIVER_PATH}, as docs/events.md says."
SWITCH_ON = (
    "Switch it on under Account settings → Webhooks; a watcher finds what Airflow has missed."
)
REFUSED = (
    "If Airflow was down, the next run is told of. Else the API server's log says why: after 401 "
    "the password of dbt_cloud_webhooks is not the secret of this webhook."
)


def receive_webhooks(launch: Launch, api: AirflowApi) -> None:
    """Subscribe, and give Airflow the secret, unless either connection is the user's own.

    Raises:
        LaunchError: the local dbt Cloud did not take it.
    """
    if not launch.uses_local_dbt_cloud or f"AIRFLOW_CONN_{CONN_ID.upper()}" in launch.variables:
        return
    found = [api.connection(conn_id) for conn_id in (DBT_CLOUD.conn_id, CONN_ID)]
    if not all(leads_here(each.get("host"), each.get("login")) for each in found if each):
        return
    receiver = f"http://127.0.0.1:{launch.port}{RECEIVER_PATH}"
    try:
        secret = subscribe(SERVER.url(launch), _token(launch), launch.data, receiver)
    except requests.RequestException as error:
        raise LaunchError(
            f"The local dbt Cloud did not take Airflow's webhook ({error}): make stop ends it, "
            "then make start begins anew."
        ) from error
    host = f"localhost:{launch.dbt_cloud_port}"
    api.store_connection(CONN_ID, conn_type="generic", host=host, password=secret)


def judged(found: Iterable[dict[str, Any]], receiver: str, is_local: bool) -> Finding:
    """Say whether one of dbt Cloud's webhooks tells Airflow of finished runs.

    Args:
        found: what dbt Cloud lists.
        receiver: how the address of Airflow's receiver ends.
        is_local: `make start` may mend it.
    """
    mine = [
        one
        for one in found
        if one["client_url"].rstrip("/").endswith(receiver) and FINISHED in one["event_types"]
    ]
    if not mine:
        text = f"No webhook of dbt Cloud tells of finished runs at {receiver}."
        return Finding(text, BY_START if is_local else BY_HAND)
    one = max(mine, key=lambda one: bool(one["active"]))
    told = f"dbt Cloud's webhook {one['name']!r} to {one['client_url']}"
    if not one["active"]:
        return Finding(f"{told} is switched off.", BY_START if is_local else SWITCH_ON)
    if one.get("dispatched_at") and not str(one["http_status_code"]).startswith("2"):
        advice = f"{REFUSED} {BY_START}" if is_local else REFUSED
        return Finding(f"{told} was answered {one['http_status_code']} the last time.", advice)
    jobs = f" of job {', '.join(map(str, one['job_ids']))}" if one["job_ids"] else ""
    return Finding(f"{told} tells of finished runs{jobs}.")


def of_local_dbt_cloud(launch: Launch, airflow: str, server: str) -> Finding:
    """Ask the local dbt Cloud whether it tells the Airflow at an address."""
    try:
        found = subscriptions(server, _token(launch), launch.data)
    except requests.RequestException:
        return Finding(
            "The local dbt Cloud does not answer, and tells of no finished run.", BY_START
        )
    return judged(found, airflow + RECEIVER_PATH, is_local=True)


def _token(launch: Launch) -> str:
    return launch.variables.get("LOCAL_DBT_CLOUD_TOKEN", DBT_CLOUD.password)

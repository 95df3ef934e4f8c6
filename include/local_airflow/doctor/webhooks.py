"""Whether dbt Cloud tells this Airflow of finished runs by webhook."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import requests

from include.local_airflow.doctor import Finding
from include.local_airflow.doctor.connections import Found
from include.local_airflow.doctor.service import Service
from include.local_airflow.settings.active_dbt_cloud import leads_here
from include.local_airflow.settings.launch import Launch
from include.local_servers.subscription import RECEIVER_PATH, subscriptions

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


@dataclass(frozen=True)
class Receiver:
    """Where an Airflow takes webhooks, if it `has_secret`.

    `address` is how the address ends, and all of it for the Airflow that `make start` has
    subscribed to the local dbt Cloud: then it `is_local`.
    """

    has_secret: bool
    address: str = RECEIVER_PATH
    is_local: bool = False


def receiver_of(dbt_cloud: Found, webhooks: Found | Finding, airflow: str) -> Receiver | None:
    """Return none where nobody listens: only a running Airflow hears of the local dbt Cloud.

    Args:
        dbt_cloud: the connection whose webhooks they are.
        webhooks: the connection with the secret.
        airflow: the address of the one that runs here, if any.
    """
    has_secret = isinstance(webhooks, Found) and bool(webhooks.connection.password)
    if not leads_here(dbt_cloud.connection.host, dbt_cloud.connection.login):
        return Receiver(has_secret)
    return Receiver(has_secret, airflow + RECEIVER_PATH, True) if airflow else None


def heard(service: Service, account: int, receiver: Receiver) -> Finding:
    """Ask for the account's webhooks."""
    status, found = service.get(f"{account}/webhooks/subscriptions", "v3", limit=100)
    if status != 200 or found is None:
        return Finding(
            f"The token may not read the webhooks of account {account}: dbt Cloud shows under "
            "Account settings → Webhooks whether one tells Airflow of finished runs."
        )
    if not receiver.has_secret:
        return Finding(
            "Airflow takes no webhooks, since its connection dbt_cloud_webhooks is missing or has "
            "no secret: watchers ask for finished runs. docs/events.md says how to have both."
        )
    return judged(found, receiver.address, receiver.is_local)


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
        found = subscriptions(server, launch.local_token, launch.data)
    except requests.RequestException:
        return Finding(
            "The local dbt Cloud does not answer, and tells of no finished run.", BY_START
        )
    return judged(found, airflow + RECEIVER_PATH, is_local=True)

"""The check that dbt Cloud's webhooks reach this Airflow."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import requests

from include.local_airflow.doctor import Finding
from include.local_airflow.doctor.connections import ResolvedConnection
from include.local_airflow.doctor.service import Service
from include.local_airflow.settings.active_dbt_cloud import is_local
from include.local_airflow.settings.launch import Launch
from include.local_dbt_cloud.serving.subscription import RECEIVER_PATH, subscriptions

FINISHED = "job.run.completed"
BY_START = "Run make start, which subscribes Airflow again."
BY_HAND = f"Create one with a URL that ends in {RECEIVER_PATH} (as cloned, see docs/events.md)."
SWITCH_ON = "Switch it on under Account settings → Webhooks. A watcher reports the missed runs."
REFUSED = (
    "If Airflow was down, no fix is needed. Otherwise see the API server's log: with 401, the "
    "password of dbt_cloud_webhooks is not the secret of this webhook."
)


@dataclass(frozen=True)
class Receiver:
    """An Airflow's webhook endpoint, which needs a secret.

    ``address`` is the end of the URL, or all of it if ``is_local``: ``make start`` has subscribed
    the endpoint to the local dbt Cloud.
    """

    has_secret: bool
    address: str = RECEIVER_PATH
    is_local: bool = False


def receiver_of(dbt_cloud: ResolvedConnection, has_secret: bool, airflow: str) -> Receiver | None:
    """Return the receiver; ``None`` for the local dbt Cloud without a running Airflow.

    Args:
        dbt_cloud: the connection that sends the webhooks.
        has_secret: whether Airflow has the secret of the account's webhooks.
        airflow: the URL of the running Airflow, if any.
    """
    if not is_local(dbt_cloud.connection.host, dbt_cloud.connection.login):
        return Receiver(has_secret)
    return Receiver(has_secret, airflow + RECEIVER_PATH, True) if airflow else None


def check_receiver(service: Service, account: int, receiver: Receiver) -> Finding:
    """Check that one of the account's webhooks reaches the receiver."""
    status, found = service.get(f"{account}/webhooks/subscriptions", "v3", limit=100)
    if status != 200 or found is None:
        return Finding(
            f"The token cannot read the webhooks of account {account}: check in dbt Cloud, under "
            "Account settings → Webhooks, that one sends finished runs to Airflow."
        )
    if not receiver.has_secret:
        return Finding(
            "Airflow accepts no webhooks, because its connection dbt_cloud_webhooks is missing or "
            "has no secret. Watchers poll for finished runs (as cloned, see docs/events.md)."
        )
    return check_subscription(found, receiver)


def check_subscription(subscribed: Iterable[dict[str, Any]], receiver: Receiver) -> Finding:
    """Check that a webhook among those ``subscribed`` in dbt Cloud reaches the receiver."""
    matching = [
        webhook
        for webhook in subscribed
        if webhook["client_url"].rstrip("/").endswith(receiver.address)
        and FINISHED in webhook["event_types"]
    ]
    if not matching:
        text = f"No webhook of dbt Cloud sends finished runs to {receiver.address}."
        return Finding(text, BY_START if receiver.is_local else BY_HAND)
    webhook = max(matching, key=lambda webhook: bool(webhook["active"]))
    text = f"dbt Cloud's webhook {webhook['name']!r} to {webhook['client_url']}"
    if not webhook["active"]:
        return Finding(f"{text} is switched off.", BY_START if receiver.is_local else SWITCH_ON)
    status = webhook.get("dispatched_at") and str(webhook["http_status_code"])
    if status and not status.startswith("2"):
        advice = f"{REFUSED} {BY_START}" if receiver.is_local else REFUSED
        return Finding(f"{text} got status {status} the last time.", advice)
    jobs = f" of job {', '.join(map(str, webhook['job_ids']))}" if webhook["job_ids"] else ""
    return Finding(f"{text} sends finished runs{jobs}.")


def check_local_subscription(launch: Launch, airflow: str, server: str) -> Finding:
    """Check that the local dbt Cloud at ``server`` sends webhooks to the Airflow at a URL."""
    try:
        subscribed = subscriptions(server, launch.local_token, launch.data)
    except requests.RequestException:
        return Finding("The local dbt Cloud does not respond, so it sends no webhooks.", BY_START)
    return check_subscription(subscribed, Receiver(True, airflow + RECEIVER_PATH, is_local=True))

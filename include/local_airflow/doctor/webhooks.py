"""Whether dbt Cloud tells this Airflow of finished runs by webhook."""

from __future__ import annotations

from dataclasses import dataclass

from include.local_airflow.dbt_cloud_in_use import leads_here
from include.local_airflow.doctor import Finding
from include.local_airflow.doctor.connections import Found
from include.local_airflow.doctor.service import Service
from include.local_airflow.webhooks import judged
from include.local_servers.subscription import RECEIVER_PATH


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

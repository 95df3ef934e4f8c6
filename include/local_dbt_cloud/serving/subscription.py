"""Subscribe Airflow to the local dbt Cloud's webhooks, with the calls that a user would make.

    python -m include.local_dbt_cloud.serving.subscription URL RECEIVER --data FOLDER

prints the secret. dbt Cloud returns it only once, so the data folder keeps it too.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from .connections import DBT_CLOUD

RECEIVER_PATH = "/webhooks/dbt-cloud"  # plugins/receive_dbt_cloud_webhooks.py
CONN_ID = "dbt_cloud_webhooks"  # its password is the secret
FILE = "webhook-subscription.json"
ADDRESS = f"{{}}/api/v3/accounts/{DBT_CLOUD.login}/webhooks/subscription"
# Retries for half a minute while the server starts, at most two seconds apart.
RETRIES = Retry(20, backoff_factor=0.1, backoff_max=2, allowed_methods=None)


def subscribe(url: str, token: str, data: Path, receiver: str) -> str:
    """Subscribe once, or reactivate a subscription that failures deactivated; return the secret.

    Raises:
        requests.RequestException: The local dbt Cloud did not accept it.
    """
    subscription = {
        "name": "Airflow",
        "description": "Made by make start and astro dev start",
        "client_url": receiver,
        "event_types": ["job.run.completed"],
        "job_ids": [],
        "active": True,
    }
    address, stored = ADDRESS.format(url), _stored_subscription(data)
    with _session(token, data) as session:
        session.mount(url, HTTPAdapter(max_retries=RETRIES))
        response = session.put(f"{address}/{stored.get('id')}", json=subscription, timeout=30)
        if response.status_code == 404:
            response = session.post(f"{address}s", json=subscription, timeout=30)
            response.raise_for_status()
            stored = response.json()["data"]
            _store_subscription(data, stored)
    response.raise_for_status()
    return stored["hmac_secret"]


def subscriptions(url: str, token: str, data: Path) -> list[dict[str, Any]]:
    """Return all subscriptions.

    Raises:
        requests.RequestException: The local dbt Cloud did not return them.
    """
    with _session(token, data) as session:
        response = session.get(f"{ADDRESS.format(url)}s", params={"limit": 100}, timeout=5)
    response.raise_for_status()
    found: list[dict[str, Any]] = response.json()["data"]
    return found


def _session(token: str, data: Path) -> requests.Session:
    session = requests.Session()
    session.trust_env = False  # connect to this machine without a proxy
    session.verify = str(data / "ca.pem")
    session.headers["Authorization"] = f"Token {token}"
    return session


def _stored_subscription(data: Path) -> dict[str, str]:
    with suppress(OSError, ValueError):
        stored: dict[str, str] = json.loads((data / FILE).read_text())
        return stored
    return {}


def _store_subscription(data: Path, subscription: dict[str, str]) -> None:
    new = data / f"{FILE}.new"
    with open(os.open(new, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as opened:
        json.dump({name: subscription[name] for name in ("id", "hmac_secret")}, opened)
    new.replace(data / FILE)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m include.local_dbt_cloud.serving.subscription")
    parser.add_argument("url", help="of the local dbt Cloud")
    parser.add_argument("receiver", help="the URL of Airflow's webhook receiver")
    parser.add_argument("--data", type=Path, required=True)
    arguments = parser.parse_args()
    token = os.environ.get("LOCAL_DBT_CLOUD_TOKEN") or DBT_CLOUD.password
    try:
        print(subscribe(arguments.url, token, arguments.data, arguments.receiver))
    except requests.RequestException as error:
        print(f"The local dbt Cloud did not accept the subscription: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

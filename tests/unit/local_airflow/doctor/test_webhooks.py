"""The doctor's check of webhooks, on the local dbt Cloud."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from airflow.sdk import Connection

from include.local_airflow.doctor import Finding
from include.local_airflow.doctor.checks import examine
from include.local_airflow.doctor.connections import ResolvedConnection
from include.local_airflow.doctor.webhooks import (
    BY_HAND,
    BY_START,
    REFUSED,
    SWITCH_ON,
    Receiver,
    receiver_of,
)
from include.local_dbt_cloud.testing import LocalDbtCloud
from tests.bundled import ACCOUNT_ID
from tests.webhook_receiver import WebhookReceiver

PATH = f"/api/v3/accounts/{ACCOUNT_ID}/webhooks/subscription"
HERE, SECRET = "/hook", Receiver(has_secret=True, address="/hook")


@pytest.fixture
def webhook(local_dbt_cloud: LocalDbtCloud) -> Iterator[dict[str, Any]]:
    with WebhookReceiver() as receiver:
        receiver.status_codes = [401]
        body = {"name": "To test", "client_url": receiver.url, "active": True, "job_ids": ["1"]}
        body |= {"event_types": ["job.run.completed"], "description": ""}
        made = local_dbt_cloud.request("POST", f"{PATH}s", json=body).json()["data"]
        yield made
        local_dbt_cloud.request("DELETE", f"{PATH}/{made['id']}")


def found(host: str = "", **fields: Any) -> ResolvedConnection:
    fields = {"conn_id": "dbt_cloud_default", "conn_type": "dbt_cloud", "host": host, **fields}
    return ResolvedConnection(Connection(**fields), "a test")


def last(server: LocalDbtCloud, receiver: Receiver) -> Finding:
    return list(examine(found(**json.loads(server.connection)), [], receiver))[-1]


def test_examine_reports_each_state_of_a_webhook(
    local_dbt_cloud: LocalDbtCloud, webhook: dict[str, Any]
) -> None:
    prefix = f"dbt Cloud's webhook 'To test' to {webhook['client_url']}"
    address = f"{PATH}/{webhook['id']}"
    assert last(local_dbt_cloud, SECRET) == Finding(f"{prefix} sends finished runs of job 1.")

    local_dbt_cloud.get(f"{address}/test")
    assert last(local_dbt_cloud, SECRET) == Finding(
        f"{prefix} got status 401 the last time.", REFUSED
    )
    assert last(local_dbt_cloud, replace(SECRET, is_local=True)).advice == f"{REFUSED} {BY_START}"
    local_dbt_cloud.get(f"{address}/test")
    assert not last(local_dbt_cloud, SECRET).advice

    local_dbt_cloud.request("PUT", address, json=webhook | {"active": False})
    assert last(local_dbt_cloud, SECRET) == Finding(f"{prefix} is switched off.", SWITCH_ON)
    assert last(local_dbt_cloud, replace(SECRET, is_local=True)).advice == BY_START


def test_examine_reports_a_missing_webhook_with_advice(
    local_dbt_cloud: LocalDbtCloud, webhook: dict[str, Any]
) -> None:
    other = replace(SECRET, address="/other")
    other_events = webhook | {"event_types": ["job.run.started"]}
    local_dbt_cloud.request("PUT", f"{PATH}/{webhook['id']}", json=other_events)

    for receiver in (other, SECRET):
        missing = last(local_dbt_cloud, receiver)
        assert f"No webhook of dbt Cloud sends finished runs to {receiver.address}." in missing.text
        assert missing.advice == BY_HAND
    assert last(local_dbt_cloud, replace(other, is_local=True)).advice == BY_START


def test_examine_without_a_secret_reports_that_watchers_poll(
    local_dbt_cloud: LocalDbtCloud,
) -> None:
    finding = last(local_dbt_cloud, Receiver(has_secret=False))

    assert "Watchers poll for finished runs" in finding.text
    assert not finding.advice


def test_receiver_of_the_local_dbt_cloud_requires_a_running_airflow() -> None:
    local, real = found("localhost:8580"), found("ab123.us1.dbt.com")
    airflow = "http://127.0.0.1:8080"

    assert receiver_of(local, False, "") is None
    assert receiver_of(local, True, airflow) == Receiver(
        True, f"{airflow}/webhooks/dbt-cloud", is_local=True
    )
    assert receiver_of(real, True, airflow) == Receiver(True, "/webhooks/dbt-cloud")
    assert receiver_of(real, False, airflow) == Receiver(False, "/webhooks/dbt-cloud")

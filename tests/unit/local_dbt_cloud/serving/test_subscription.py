"""Airflow subscribes to the local dbt Cloud's webhooks once, however often it starts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from include.local_dbt_cloud.serving.subscription import FILE, subscribe
from include.local_dbt_cloud.testing import LocalDbtCloud
from tests.bundled import ACCOUNT_ID, TOKEN

AIRFLOW = "http://127.0.0.1:9/webhooks/dbt-cloud"
PATH = f"/api/v3/accounts/{ACCOUNT_ID}/webhooks/subscription"


@pytest.fixture
def server(local_dbt_cloud: LocalDbtCloud) -> Iterator[LocalDbtCloud]:
    yield local_dbt_cloud
    for one in subscriptions(local_dbt_cloud):
        local_dbt_cloud.request("DELETE", f"{PATH}/{one['id']}")
    (local_dbt_cloud.data / FILE).unlink()


def subscriptions(server: LocalDbtCloud) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = server.get(f"{PATH}s")
    return listed


def start(server: LocalDbtCloud, receiver: str = AIRFLOW) -> str:
    return subscribe(server.url, TOKEN, server.data, receiver)


def file_of(server: LocalDbtCloud) -> Path:
    return server.data / FILE


def test_subscribe_reuses_and_reactivates_its_subscription(server: LocalDbtCloud) -> None:
    secret = start(server)
    [made] = subscriptions(server)
    server.request("PUT", f"{PATH}/{made['id']}", json=made | {"active": False})

    again = start(server, "http://127.0.0.1:10/webhooks/dbt-cloud")

    [found] = subscriptions(server)
    assert (again, found["id"], found["active"]) == (secret, made["id"], True)
    assert found["client_url"] == "http://127.0.0.1:10/webhooks/dbt-cloud"
    assert json.loads(file_of(server).read_text()) == {"id": made["id"], "hmac_secret": secret}
    assert file_of(server).stat().st_mode & 0o077 == 0


def test_subscribe_recreates_a_deleted_subscription(server: LocalDbtCloud) -> None:
    secret = start(server)
    [made] = subscriptions(server)
    server.request("DELETE", f"{PATH}/{made['id']}")

    assert start(server) != secret
    assert len(subscriptions(server)) == 1


def test_subscribe_replaces_an_unreadable_file(server: LocalDbtCloud) -> None:
    file_of(server).write_text("{")

    assert start(server) == json.loads(file_of(server).read_text())["hmac_secret"]

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudHook
from requests.adapters import HTTPAdapter

from include.dbt_cloud.airflow.compat import AirflowException
from include.dbt_cloud.api.async_client import AsyncDbtCloudClient
from include.dbt_cloud.api.client import DbtCloudClient
from include.dbt_cloud.api.responses import NoAnswerError
from include.local_dbt_cloud.testing import LocalDbtCloud
from tests.unit.dbt_cloud.conftest import go_well, go_wrong

HOUR: dict[str, Any] = {"kind": "429", "seconds": 3600}  # with an hour in `Retry-After`
SOON = 30.0  # seconds; for a busy machine
NO_RUN = 10**9


@pytest.fixture
def server(dbt_cloud_connection: LocalDbtCloud) -> Iterator[LocalDbtCloud]:
    yield dbt_cloud_connection
    go_well(dbt_cloud_connection)


def client_of(retry_seconds: float) -> DbtCloudClient:
    return DbtCloudClient(DbtCloudHook("dbt_cloud_default"), None, retry_seconds)


@pytest.mark.parametrize("login", [None, "", "acme"])
def test_client_rejects_a_connection_without_an_account_id(
    monkeypatch: pytest.MonkeyPatch, login: str | None
) -> None:
    connection = {"conn_type": "dbt_cloud", "host": "localhost:1", "login": login, "password": "x"}
    monkeypatch.setenv("AIRFLOW_CONN_DBT_CLOUD_EU", json.dumps(connection))
    hook = DbtCloudHook("dbt_cloud_eu")

    with pytest.raises(AirflowException, match="dbt_cloud_eu has no account id: set its login"):
        DbtCloudClient(hook, None)
    assert DbtCloudClient(hook, 16173).account_id == 16173


@pytest.mark.parametrize("extra", ["[1]", '"x"', '{"proxies": "http://proxy:3128"}'])
def test_clients_reject_a_connection_with_an_invalid_extra(
    monkeypatch: pytest.MonkeyPatch, extra: str
) -> None:
    connection = {"conn_type": "dbt_cloud", "host": "localhost:1", "login": "7", "password": "x"}
    monkeypatch.setenv("AIRFLOW_CONN_DBT_CLOUD_EU", json.dumps(connection | {"extra": extra}))

    async def call() -> None:
        async with AsyncDbtCloudClient("dbt_cloud_eu"):
            pass

    with pytest.raises(AirflowException, match="proxies from the extra of dbt_cloud_eu"):
        DbtCloudClient(DbtCloudHook("dbt_cloud_eu"), None)
    with pytest.raises(AirflowException, match="proxies from the extra of dbt_cloud_eu"):
        asyncio.run(call())


@pytest.mark.parametrize("body", [b"{}", b"[]", b"null", b'{"data": null}', b"<html>Sign in"])
def test_client_raises_no_answer_error_for_a_response_of_a_proxy(
    server: LocalDbtCloud, monkeypatch: pytest.MonkeyPatch, body: bytes
) -> None:
    def send(_adapter: Any, request: requests.PreparedRequest, **_: Any) -> requests.Response:
        response = requests.Response()
        response.status_code, response._content, response.request = 200, body, request
        return response

    monkeypatch.setattr(HTTPAdapter, "send", send)
    client = client_of(retry_seconds=0)

    for call in (
        lambda: client.get("runs/7/"),
        lambda: client.get_once("runs/7/"),
        lambda: list(client.pages("runs/", 10, 1)),
        lambda: client.post("jobs/7/run/", {}),
        lambda: client.cancel(7),
    ):
        with pytest.raises(NoAnswerError, match="dbt Cloud returned 200 with"):
            call()


def test_get_waits_no_longer_than_its_retry_seconds(server: LocalDbtCloud) -> None:
    go_wrong(server, **HOUR)
    began = time.monotonic()

    client_of(retry_seconds=2).get("runs/", limit=1)

    assert 1 < time.monotonic() - began < SOON


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.get("runs/", limit=1),
        lambda client: client.text(f"runs/{NO_RUN}/artifacts/index.html"),
        lambda client: client.post(f"jobs/{NO_RUN}/run/", {"cause": "test"}),
        lambda client: client.cancel(NO_RUN),
    ],
    ids=["get", "text", "post", "cancel"],
)
def test_client_calls_raise_after_their_retry_seconds(
    server: LocalDbtCloud, call: Callable[[DbtCloudClient], object]
) -> None:
    go_wrong(server, **HOUR, times=1000)
    began = time.monotonic()

    with pytest.raises(NoAnswerError, match="429"):
        call(client_of(retry_seconds=2))

    assert 1 < time.monotonic() - began < SOON


def test_get_once_does_not_retry(server: LocalDbtCloud) -> None:
    go_wrong(server, **HOUR)
    client = client_of(retry_seconds=60)

    with pytest.raises(NoAnswerError, match="429"):
        client.get_once("runs/", limit=1)

    assert client.get_once("runs/", limit=1) is not None


def test_cancel_ignores_retry_after(server: LocalDbtCloud) -> None:
    """Airflow kills a worker five seconds after it asks the task to end."""
    go_wrong(server, **HOUR, times=2)
    began = time.monotonic()

    with pytest.raises(AirflowException, match="404"):
        client_of(retry_seconds=90).cancel(NO_RUN)

    assert time.monotonic() - began < SOON

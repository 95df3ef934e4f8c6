"""Webhooks, right and wrong ones, over HTTP to the app that the plugin mounts."""

from __future__ import annotations

import json
import logging
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import uvicorn
from airflow.sdk import Asset
from fastapi import FastAPI
from sqlalchemy.exc import OperationalError

from include.dbt_cloud.events import FinishedRun, account_runs, job_runs, receiver
from include.dbt_cloud.events.signature import sign
from include.local_airflow.processes import free_port
from plugins.receive_dbt_cloud_webhooks import ReceiveDbtCloudWebhooks
from tests.unit.dbt_cloud.events.conftest import AddAssets, told
from tests.unit.dbt_cloud.events.test_finished_run import WEBHOOK

SECRET = "a-secret-of-this-test"
EVERY_RUN, OF_JOB, OF_OTHER_JOB = account_runs(), job_runs(65767), job_runs(1)
PATH = "/webhooks/dbt-cloud"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The app as Airflow's API server mounts it."""
    api_server = FastAPI()
    for mounted in ReceiveDbtCloudWebhooks().fastapi_apps:
        api_server.mount(mounted["url_prefix"], mounted["app"])
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(api_server, port=port, log_level="error", ws="none"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.01)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join()


@pytest.fixture(autouse=True)
def connected(monkeypatch: pytest.MonkeyPatch, add_assets: AddAssets) -> None:
    add_assets(EVERY_RUN, OF_JOB, OF_OTHER_JOB)
    connect(monkeypatch, "dbt_cloud_default", host="ab123.us1.dbt.com", login="16173")
    connect(monkeypatch, receiver.WEBHOOKS, password=SECRET)


def connect(monkeypatch: pytest.MonkeyPatch, conn_id: str, **fields: Any) -> None:
    value = json.dumps({"conn_type": "generic", **fields})
    monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", value)
    receiver.read_setup.cache_clear()


def webhook(**changes: Any) -> bytes:
    """A run that has ended now."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    event = {"timestamp": f"{now[:-1]}.123456789Z", "eventType": receiver.FINISHED, "eventId": "e"}
    data = WEBHOOK["data"] | {"runFinishedAt": now} | changes.pop("data", {})
    return json.dumps(WEBHOOK | event | {"data": data} | changes).encode()


def send(address: str, body: bytes, signature: str | None = None) -> httpx.Response:
    given = sign(SECRET, body) if signature is None else signature
    headers = [(b"Authorization", given.encode())]
    return httpx.post(f"{address}{PATH}", content=body, headers=headers, trust_env=False)


def test_a_finished_run_is_an_event_of_each_asset_that_is_about_it(address: str) -> None:
    body = webhook()

    answer = send(address, body)

    run = FinishedRun.of_webhook(json.loads(body), "ab123.us1.dbt.com")
    assert answer.json() == {"detail": "Run 7 has ended: 2 new asset events, 0 known."}
    assert told(EVERY_RUN) == told(OF_JOB) == [run]
    assert told(OF_OTHER_JOB) == []
    assert run.url.startswith("https://ab123.us1.dbt.com/deploy/16173/")


@pytest.mark.parametrize(
    "changes",
    [
        {"timestamp": datetime.now(UTC).replace(tzinfo=None).isoformat()},
        {"data": {"runStatusCode": 30, "runStartedAt": None, "runFinishedAt": None}},
    ],
    ids=["no time zone", "cancelled in the queue"],
)
def test_a_time_may_lack_its_zone_or_be_missing(address: str, changes: dict[str, Any]) -> None:
    for _ in range(2):
        assert send(address, webhook(**changes)).status_code == 200

    (run,) = told(OF_JOB)
    assert run
    assert run.finished_at.endswith("+00:00")


def test_the_same_again_and_at_once_is_no_second_event(address: str) -> None:
    body = webhook()
    with ThreadPoolExecutor(5) as threads:
        answers = list(threads.map(lambda _: send(address, body), range(10)))

    assert {answer.status_code for answer in answers} == {200}
    assert len(told(OF_JOB)) == len(told(EVERY_RUN)) == 1


def test_many_runs_have_an_event_each(address: str) -> None:
    bodies = [webhook(data={"runId": str(number)}) for number in range(20)]
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda body: send(address, body), bodies * 2))

    assert {answer.status_code for answer in answers} == {200}
    assert sorted(run.run_id for run in told(OF_JOB) if run) == list(range(20))


@pytest.mark.parametrize(
    "changes",
    [
        {"eventType": "job.run.started"},
        {"eventType": "job.run.errored"},
        {"data": {"runStatusCode": 3, "runFinishedAt": None}},  # dbt Cloud's test of the endpoint
        {"timestamp": (datetime.now(UTC) - timedelta(days=8)).isoformat()},
        {"data": {"jobId": "5", "projectId": "6", "environmentId": "7"}, "accountId": "16173"},
    ],
    ids=["started", "errored", "test", "old", "another job"],
)
def test_what_is_not_wanted_is_taken_and_makes_no_event_of_the_job(
    address: str, changes: dict[str, Any]
) -> None:
    assert send(address, webhook(**changes)).status_code == 200
    assert told(OF_JOB) == []


@pytest.mark.parametrize(
    ("body", "signature", "status"),
    [
        (webhook(), "", 401),
        (webhook(), sign("another secret", webhook()), 401),
        (webhook(), "ü", 401),
        (webhook()[:-1], sign(SECRET, webhook()), 401),
        (b"", None, 400),
        (b"{", None, 400),
        (b"[]", None, 400),
        (webhook(data={"runId": None}), None, 400),
        (webhook(timestamp="yesterday"), None, 400),
        (webhook(accountId=1), None, 403),
        (b" " * (receiver.MAX_BODY + 1), None, 413),
    ],
    ids=[
        "unsigned",
        "forged",
        "not ASCII",
        "cut",
        "empty",
        "not JSON",
        "no object",
        "no run",
        "no time",
        "other account",
        "too large",
    ],
)
def test_what_is_wrong_is_refused_without_the_secret_in_the_log(
    address: str,
    body: bytes,
    signature: str | None,
    status: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.DEBUG, receiver.__name__):
        answer = send(address, body, signature)

    assert answer.status_code == status, answer.text
    assert f"A webhook is refused with {status}: " in caplog.text
    assert SECRET not in caplog.text + answer.text
    assert sign(SECRET, body) not in caplog.text
    assert told(EVERY_RUN) == []


def test_a_body_that_comes_too_slowly_is_given_up(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiver, "BODY_SECONDS", 0.2)
    with socket.create_connection(("127.0.0.1", httpx.URL(address).port or 0)) as client:
        client.sendall(f"POST {PATH} HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{{".encode())

        assert b"408" in client.recv(1000).splitlines()[0]


def test_a_secret_is_changed_without_a_gap(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    connect(monkeypatch, receiver.WEBHOOKS, password=f"{SECRET} the-next-one")

    for secret in (SECRET, "the-next-one"):
        assert send(address, webhook(), sign(secret, webhook())).status_code == 200


@pytest.mark.parametrize(
    ("conn_id", "fields", "reason"),
    [
        (receiver.WEBHOOKS, None, "no connection dbt_cloud_webhooks"),
        (receiver.WEBHOOKS, {"login": "x"}, "has no password"),
        ("dbt_cloud_default", {"host": "x"}, "has no login"),
    ],
)
def test_a_connection_that_is_missing_is_named_and_dbt_cloud_is_to_try_again(
    address: str,
    conn_id: str,
    fields: dict[str, str] | None,
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if fields is None:
        monkeypatch.delenv(f"AIRFLOW_CONN_{conn_id.upper()}")
    else:
        connect(monkeypatch, conn_id, **fields)

    answer = send(address, webhook())

    assert answer.status_code == 503
    assert reason in answer.text


def test_without_the_database_dbt_cloud_is_to_try_again(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_database() -> None:
        raise OperationalError("select 1", {}, Exception("the database is gone"))

    with monkeypatch.context() as patch:
        patch.setattr(receiver, "create_session", no_database)
        assert send(address, webhook()).status_code == 503

    assert send(address, webhook()).status_code == 200
    assert len(told(OF_JOB)) == 1


def test_an_asset_with_an_address_of_its_own_making_hinders_no_other(
    address: str, add_assets: AddAssets
) -> None:
    wrong = Asset("dbt-cloud://dbt_cloud_default/jobs/daily")
    add_assets(wrong)

    assert send(address, webhook()).status_code == 200
    assert (len(told(OF_JOB)), told(wrong)) == (1, [])


def test_pages_and_unknown_addresses_are_not_there(address: str) -> None:
    for path in ("/webhooks/docs", "/webhooks/openapi.json", "/webhooks/other"):
        assert httpx.get(f"{address}{path}", trust_env=False).status_code == 404
    assert httpx.get(f"{address}{PATH}", trust_env=False).status_code == 405


def test_two_accounts_differ_by_their_connections(
    address: str, add_assets: AddAssets, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_europe = job_runs(65767, "dbt_cloud_eu")
    add_assets(in_europe)
    connect(monkeypatch, "dbt_cloud_eu", host="eu.dbt.com", login="9")
    extra = {"dbt_cloud_conn_id": "dbt_cloud_eu"}
    connect(monkeypatch, receiver.WEBHOOKS, password=SECRET, extra=extra, host="people.example")

    assert send(address, webhook(accountId=9)).status_code == 200

    (run,) = told(in_europe)
    assert run
    assert run == replace(run, url="https://people.example/deploy/9/projects/36467/runs/7/")
    assert told(OF_JOB) == []

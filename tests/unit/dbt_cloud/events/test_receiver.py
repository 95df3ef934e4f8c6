"""Tests of valid and invalid webhooks over HTTP, with the plugin's app."""

from __future__ import annotations

import json
import logging
import re
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
from airflow.models.connection import Connection
from airflow.sdk import Asset
from airflow.utils.session import create_session
from fastapi import FastAPI
from sqlalchemy.exc import OperationalError

from include.dbt_cloud.api.accounts import Account
from include.dbt_cloud.events import FinishedRun, account_runs, job_runs, receiver, senders
from include.dbt_cloud.events.signature import sign
from include.local_dbt_cloud.testing import free_port
from plugins.receive_dbt_cloud_webhooks import ReceiveDbtCloudWebhooks
from tests.unit.dbt_cloud.events.conftest import AddAssets, runs_in_events
from tests.unit.dbt_cloud.events.test_finished_run import WEBHOOK

SECRET = "a-secret-of-this-test"
EVERY_RUN, OF_JOB, OF_OTHER_JOB = account_runs(), job_runs(65767), job_runs(1)
PATH = "/webhooks/dbt-cloud"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Serve the app as Airflow's API server does."""
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
    connect(monkeypatch, senders.WEBHOOKS, password=SECRET)


def connect(monkeypatch: pytest.MonkeyPatch, conn_id: str, **fields: Any) -> None:
    value = json.dumps({"conn_type": "generic", **fields})
    monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", value)
    senders.read_setup.cache_clear()


def webhook(**changes: Any) -> bytes:
    """Return the webhook of a run that has just finished."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    event = {"timestamp": f"{now[:-1]}.123456789Z", "eventId": "e"}
    event["eventType"] = receiver.RUN_COMPLETED
    data = WEBHOOK["data"] | {"runFinishedAt": now} | changes.pop("data", {})
    return json.dumps(WEBHOOK | event | {"data": data} | changes).encode()


def send(address: str, body: bytes, signature: str | None = None) -> httpx.Response:
    given = sign(SECRET, body) if signature is None else signature
    headers = [(b"Authorization", given.encode())]
    return httpx.post(f"{address}{PATH}", content=body, headers=headers, trust_env=False)


def test_webhook_makes_an_event_of_each_matching_asset(address: str) -> None:
    body = webhook()

    answer = send(address, body)

    run = FinishedRun.of_webhook(json.loads(body), Account("ab123.us1.dbt.com", 16173))
    assert answer.json() == {"detail": "Run 7: 2 new asset events, 0 already existed."}
    assert runs_in_events(EVERY_RUN) == runs_in_events(OF_JOB) == [run]
    assert runs_in_events(OF_OTHER_JOB) == []
    assert run.url.startswith("https://ab123.us1.dbt.com/deploy/16173/")


@pytest.mark.parametrize(
    "changes",
    [
        {"timestamp": datetime.now(UTC).replace(tzinfo=None).isoformat()},
        {"data": {"runStatusCode": 30, "runStartedAt": None, "runFinishedAt": None}},
    ],
    ids=["no time zone", "cancelled in the queue"],
)
def test_webhook_accepts_times_without_a_zone_and_missing_times(
    address: str, changes: dict[str, Any]
) -> None:
    for _ in range(2):
        assert send(address, webhook(**changes)).status_code == 200

    (run,) = runs_in_events(OF_JOB)
    assert run
    assert run.finished_at.endswith("+00:00")


def test_repeated_concurrent_webhooks_make_one_event(address: str) -> None:
    body = webhook()
    with ThreadPoolExecutor(5) as threads:
        responses = list(threads.map(lambda _: send(address, body), range(10)))

    assert {answer.status_code for answer in responses} == {200}
    assert len(runs_in_events(OF_JOB)) == len(runs_in_events(EVERY_RUN)) == 1


def test_concurrent_webhooks_of_many_runs_make_an_event_each(address: str) -> None:
    bodies = [webhook(data={"runId": str(number)}) for number in range(20)]
    with ThreadPoolExecutor(8) as threads:
        responses = list(threads.map(lambda body: send(address, body), bodies * 2))

    assert {answer.status_code for answer in responses} == {200}
    assert sorted(run.run_id for run in runs_in_events(OF_JOB) if run) == list(range(20))


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
def test_other_webhooks_return_200_and_make_no_event_of_the_job(
    address: str, changes: dict[str, Any]
) -> None:
    assert send(address, webhook(**changes)).status_code == 200
    assert runs_in_events(OF_JOB) == []


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
def test_invalid_webhooks_are_rejected_without_logging_the_secret(
    address: str,
    body: bytes,
    signature: str | None,
    status: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.DEBUG, receiver.__name__):
        answer = send(address, body, signature)

    assert answer.status_code == status, answer.text
    assert f"Refused a webhook with {status}: " in caplog.text
    assert SECRET not in caplog.text + answer.text
    assert sign(SECRET, body) not in caplog.text
    assert runs_in_events(EVERY_RUN) == []


ABSURD = ["NaN", "-Infinity", "1e400", "7e0", f"1{'0' * 400}", "9" * 5000, "9223372036854775808"]
ABSURD += ["-7", "true", "null", '""', '"seven"', '"\\ud800"', '"-7"', "[7]", '{"id": 7}']

NO_TIMES: list[Any] = ["0000-01-01T00:00:00Z", "10000-01-01T00:00:00Z", "1969-12-31T00:00:00Z"]
NO_TIMES += ["9999-12-31T23:59:59-14:00", "yesterday", 1764064860, 1e400, True, ["2026"], {}]


def raw(field: str, value: str) -> bytes:
    """Return a webhook with JSON that Python would not write."""
    written = (
        webhook(data={field: "HERE"}) if field in WEBHOOK["data"] else webhook(**{field: "HERE"})
    )
    return written.replace(b'"HERE"', value.encode())


@pytest.mark.parametrize("field", ["runId", "jobId", "accountId", "runStatusCode"])
def test_webhook_with_an_invalid_required_number_returns_400(address: str, field: str) -> None:
    for value in ABSURD:
        answer = send(address, raw(field, value))

        assert answer.status_code == 400, (value[:20], answer.text)
        assert "not as documented: " in answer.json()["detail"]
        assert len(answer.text) < 300
    assert runs_in_events(EVERY_RUN) == []


@pytest.mark.parametrize("field", ["projectId", "environmentId"])
def test_webhook_with_an_invalid_optional_number_returns_400(address: str, field: str) -> None:
    for value in {*ABSURD} - {"null", '""'}:
        assert send(address, raw(field, value)).status_code == 400, value[:20]
    assert runs_in_events(EVERY_RUN) == []


@pytest.mark.parametrize("field", ["timestamp", "runStartedAt", "runFinishedAt"])
def test_webhook_with_an_invalid_time_returns_400(address: str, field: str) -> None:
    for value in NO_TIMES:
        changes = {"timestamp": value} if field == "timestamp" else {"data": {field: value}}

        answer = send(address, webhook(**changes))

        assert answer.status_code == 400, (value, answer.text)
        assert "not a time since 1970" in answer.json()["detail"]
    assert runs_in_events(EVERY_RUN) == []


def test_webhook_reads_a_time_in_year_1_as_missing(address: str) -> None:
    """Go writes an unset time in year 1."""
    nothing = "0001-01-01T00:00:00Z"

    data = {"runStatusCode": 30, "runStartedAt": nothing, "runFinishedAt": nothing}
    assert send(address, webhook(data=data)).status_code == 200

    (run,) = runs_in_events(OF_JOB)
    assert run
    assert (run.started_at, run.finished_at[:4]) == ("", f"{datetime.now(UTC).year}")


@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_receiver_keeps_serving_after_deeply_nested_json(address: str, opening: str) -> None:
    assert send(address, opening.encode() * 40_000).status_code == 400
    deep = raw("jobName", "[" * 40_000 + "]" * 40_000)
    assert send(address, deep).status_code in (200, 400)  # depends on Python's limit
    assert send(address, webhook()).status_code == 200


@pytest.mark.parametrize("field", ["jobName", "runReason", "runStatusMessage"])
@pytest.mark.parametrize("text", ["NUL \0", "half \ud83d", "\udc00\ud800", "whole \U0001f600"])
def test_webhook_stores_any_text_in_storable_form(address: str, field: str, text: str) -> None:
    for run_id in ("7", "8", "7"):
        assert send(address, webhook(data={"runId": run_id, field: text})).status_code == 200

    runs = runs_in_events(OF_JOB)
    assert [run and run.run_id for run in runs] == [7, 8]
    assert runs[0]
    taken = {"jobName": runs[0].job_name, "runReason": runs[0].cause}
    assert taken.get(field, runs[0].message) == re.sub(r"[\0\ud800-\udfff]", "\ufffd", text)


def test_webhook_reads_mistyped_names_as_empty(address: str) -> None:
    assert send(address, webhook(data={"jobName": 7, "runReason": ["by hand"]})).status_code == 200

    (run,) = runs_in_events(OF_JOB)
    assert run
    assert (run.job_name, run.cause) == ("", "")


@pytest.mark.parametrize("unknown", [None, ""])
def test_webhook_accepts_a_missing_project_and_environment(
    address: str, add_assets: AddAssets, unknown: str | None
) -> None:
    of_project = account_runs(project_id=36467)
    add_assets(of_project)
    data = {"projectId": unknown, "environmentId": unknown}
    body = json.loads(webhook(data=data))
    if unknown is None:
        del body["data"]["projectId"], body["data"]["environmentId"], body["data"]["jobName"]

    assert send(address, json.dumps(body).encode()).status_code == 200

    (run,) = runs_in_events(OF_JOB)
    assert run
    assert (run.project_id, run.environment_id) == (None, None)
    assert run.url == "https://ab123.us1.dbt.com/api/v2/accounts/16173/runs/7/"
    assert runs_in_events(of_project) == []


def test_webhooks_of_a_run_that_ends_in_the_future_make_one_event(address: str) -> None:
    for _ in range(2):
        assert (
            send(address, webhook(data={"runFinishedAt": "9999-01-01T00:00:00Z"})).status_code
            == 200
        )

    assert len(runs_in_events(OF_JOB)) == 1


def test_receiver_returns_408_for_a_slow_body(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiver, "BODY_SECONDS", 0.2)
    with socket.create_connection(("127.0.0.1", httpx.URL(address).port or 0)) as client:
        client.sendall(f"POST {PATH} HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{{".encode())

        assert b"408" in client.recv(1000).splitlines()[0]


def test_receiver_accepts_both_secrets_during_a_rotation(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(monkeypatch, senders.WEBHOOKS, password=f"{SECRET} the-next-one")

    for secret in (SECRET, "the-next-one"):
        assert send(address, webhook(), sign(secret, webhook())).status_code == 200


@pytest.mark.parametrize(
    ("conn_id", "fields", "reason"),
    [
        (senders.WEBHOOKS, None, "no usable connection dbt_cloud_webhooks"),
        (senders.WEBHOOKS, {"login": "x"}, "has no password"),
        ("dbt_cloud_default", {"host": "x"}, "has no login"),
    ],
)
def test_receiver_returns_503_for_a_missing_or_incomplete_connection(
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


@pytest.mark.parametrize(
    ("extra", "reason"),
    [
        *((extra, "no usable connection dbt_cloud_webhooks") for extra in ("[1]", "7")),
        *(
            (f'{{"dbt_cloud_conn_id": {value}}}', "from the extra of dbt_cloud_webhooks")
            for value in ("7", "[]", "null", "{}", "true")
        ),
    ],
)
def test_receiver_returns_503_for_an_invalid_connection_extra(
    address: str,
    extra: str,
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The database can contain any extra."""
    monkeypatch.delenv(f"AIRFLOW_CONN_{senders.WEBHOOKS.upper()}")
    with create_session() as session:
        stored = Connection(conn_id=senders.WEBHOOKS, conn_type="generic", password=SECRET)
        stored._extra = extra  # stored without validation
        session.add(stored)
    senders.read_setup.cache_clear()

    with caplog.at_level(logging.WARNING, receiver.__name__):
        answer = send(address, webhook())

    assert answer.status_code == 503, answer.text
    assert reason in answer.json()["detail"]
    assert f"Refused a webhook with 503: {answer.json()['detail']}" in caplog.text


def test_receiver_returns_503_while_the_database_is_unavailable(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_database() -> None:
        raise OperationalError("select 1", {}, Exception("the database is gone"))

    with monkeypatch.context() as patch:
        patch.setattr(receiver, "create_session", no_database)
        assert send(address, webhook()).status_code == 503

    assert send(address, webhook()).status_code == 200
    assert len(runs_in_events(OF_JOB)) == 1


def test_asset_with_an_invalid_uri_does_not_affect_others(
    address: str, add_assets: AddAssets
) -> None:
    wrong = Asset("dbt-cloud://dbt_cloud_default/jobs/daily")
    add_assets(wrong)

    assert send(address, webhook()).status_code == 200
    assert (len(runs_in_events(OF_JOB)), runs_in_events(wrong)) == (1, [])


def test_receiver_serves_neither_docs_nor_unknown_paths(address: str) -> None:
    for path in ("/webhooks/docs", "/webhooks/openapi.json", "/webhooks/other"):
        assert httpx.get(f"{address}{path}", trust_env=False).status_code == 404
    assert httpx.get(f"{address}{PATH}", trust_env=False).status_code == 405


def test_webhook_reaches_only_assets_of_its_connection(
    address: str, add_assets: AddAssets, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_europe = job_runs(65767, "dbt_cloud_eu")
    add_assets(in_europe)
    connect(monkeypatch, "dbt_cloud_eu", host="eu.dbt.com", login="9")
    extra = {"dbt_cloud_conn_id": "dbt_cloud_eu"}
    connect(monkeypatch, senders.WEBHOOKS, password=SECRET, extra=extra, host="people.example")

    assert send(address, webhook(accountId=9)).status_code == 200

    (run,) = runs_in_events(in_europe)
    assert run
    assert run == replace(run, url="https://people.example/deploy/9/projects/36467/runs/7/")
    assert runs_in_events(OF_JOB) == []


EU, EU_SECRET = "dbt_cloud_eu", "the-secret-of-europe"
IN_EUROPE = job_runs(65767, EU)


def connect_europe(monkeypatch: pytest.MonkeyPatch, add_assets: AddAssets, **fields: Any) -> None:
    """Add a second connection, whose jobs have the same ids, with its own secret."""
    add_assets(IN_EUROPE)
    extra = {senders.SECRET: EU_SECRET}
    connect(monkeypatch, EU, **{"host": "eu.dbt.com", "login": "9", "extra": extra, **fields})


def test_webhooks_of_two_accounts_with_the_same_ids_reach_their_own_assets(
    address: str, add_assets: AddAssets, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect_europe(monkeypatch, add_assets)
    bodies = {SECRET: webhook(), EU_SECRET: webhook(accountId=9)}

    for secret, body in [*bodies.items()] * 2:
        assert send(address, body, sign(secret, body)).status_code == 200

    (ours,), (theirs,) = runs_in_events(OF_JOB), runs_in_events(IN_EUROPE)
    assert ours
    assert theirs
    assert (ours.host, ours.account_id, ours.run_id) == ("ab123.us1.dbt.com", 16173, 7)
    assert (theirs.host, theirs.account_id, theirs.run_id) == ("eu.dbt.com", 9, 7)
    assert theirs.url == "https://eu.dbt.com/deploy/9/projects/36467/runs/7/"


@pytest.mark.parametrize(("account_id", "secret"), [(9, SECRET), (16173, EU_SECRET), (7, SECRET)])
def test_webhook_signed_with_the_secret_of_another_account_is_refused(
    address: str,
    add_assets: AddAssets,
    monkeypatch: pytest.MonkeyPatch,
    account_id: int,
    secret: str,
) -> None:
    connect_europe(monkeypatch, add_assets)
    body = webhook(accountId=account_id)

    answer = send(address, body, sign(secret, body))

    owner = {SECRET: "dbt_cloud_default (account 16173 on ab123.us1.dbt.com)"}
    expected = owner.get(secret, "dbt_cloud_eu (account 9 on eu.dbt.com)")
    assert answer.status_code == 403
    assert f"is for account {account_id}, but its secret is set for {expected}." in answer.text
    assert runs_in_events(OF_JOB) == runs_in_events(IN_EUROPE) == []


def test_signature_decides_between_hosts_with_the_same_account_id(
    address: str, add_assets: AddAssets, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect_europe(monkeypatch, add_assets, login="16173")

    assert send(address, webhook(), sign(EU_SECRET, webhook())).status_code == 200

    (run,) = runs_in_events(IN_EUROPE)
    assert run
    assert (run.host, runs_in_events(OF_JOB)) == ("eu.dbt.com", [])


def test_one_secret_for_one_account_id_on_two_hosts_is_refused(
    address: str, add_assets: AddAssets, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect_europe(monkeypatch, add_assets, login="16173", extra={senders.SECRET: SECRET})

    answer = send(address, webhook())

    assert answer.status_code == 503
    ours = "dbt_cloud_default (account 16173 on ab123.us1.dbt.com)"
    assert f"for {ours} and dbt_cloud_eu (account 16173 on eu.dbt.com), and" in answer.text
    assert "set the secret only for the account that sends it." in answer.text
    assert runs_in_events(OF_JOB) == runs_in_events(IN_EUROPE) == []


def test_webhook_makes_one_event_per_asset_of_all_connections_to_its_account(
    address: str, add_assets: AddAssets, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of the connections can have a secret, as for two webhooks of the account."""
    connect_europe(monkeypatch, add_assets, host="AB123.us1.dbt.com.", login="16173")

    for secret in (SECRET, EU_SECRET):
        assert send(address, webhook(), sign(secret, webhook())).status_code == 200

    assert len(runs_in_events(OF_JOB)) == len(runs_in_events(IN_EUROPE)) == 1


@pytest.mark.parametrize(
    "fields", [{"login": ""}, {"login": "x"}, {"host": "[x"}, {"extra": {senders.SECRET: 7}}, None]
)
def test_unusable_connection_does_not_affect_other_accounts(
    address: str,
    add_assets: AddAssets,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    fields: dict[str, Any] | None,
) -> None:
    connect_europe(monkeypatch, add_assets, **(fields or {}))
    if fields is None:
        monkeypatch.delenv(f"AIRFLOW_CONN_{EU.upper()}")

    assert send(address, webhook()).status_code == 200
    with caplog.at_level(logging.WARNING, receiver.__name__):
        answer = send(address, webhook(), sign(EU_SECRET, webhook()))

    assert answer.status_code == 401
    assert EU not in answer.text
    assert "Secrets are set for dbt_cloud_default (account 16173 on " in caplog.text
    assert EU in caplog.text.partition("Secrets are set for")[2]
    assert len(runs_in_events(OF_JOB)) == 1
    assert EU_SECRET not in caplog.text


def test_secret_in_the_extra_needs_no_connection_for_webhooks(
    address: str, add_assets: AddAssets, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect_europe(monkeypatch, add_assets, extra={senders.SECRET: f"{EU_SECRET} the-next-one"})
    monkeypatch.delenv(f"AIRFLOW_CONN_{senders.WEBHOOKS.upper()}")
    body = webhook(accountId=9)

    for secret in (EU_SECRET, "the-next-one"):
        assert send(address, body, sign(secret, body)).status_code == 200

    assert len(runs_in_events(IN_EUROPE)) == 1
    assert send(address, body).status_code == 401

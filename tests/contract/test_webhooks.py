"""Webhooks: subscriptions over the API, deliveries to a real receiver on loopback."""

from __future__ import annotations

import hashlib
import hmac
import shutil
import signal
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from include.local_dbt_cloud.pytest_plugin import MakeLocalDbtCloud
from include.local_dbt_cloud.testing import LocalDbtCloud
from tests.bundled import ACCOUNT_ID, BUILD_AFTER_LOAD, DAILY_BUILD
from tests.contract.conftest import http_client
from tests.contract.slow_project import SLOW, write_slow_project
from tests.webhook_receiver import WebhookReceiver

pytestmark = pytest.mark.slow

ALL_EVENTS = ["job.run.started", "job.run.completed", "job.run.errored"]
QUICK = ("--webhook-waits", "0.1,0.2,0.3,0.4", "--webhook-timeout", "1")
SUBSCRIPTIONS = f"/v3/accounts/{ACCOUNT_ID}/webhooks/subscriptions"
SUBSCRIPTION = f"/v3/accounts/{ACCOUNT_ID}/webhooks/subscription"


@pytest.fixture(scope="module")
def server(local_dbt_cloud_factory: MakeLocalDbtCloud) -> Iterator[LocalDbtCloud]:
    """Yield a server that retries after tenths of a second."""
    with local_dbt_cloud_factory(*QUICK) as running:
        yield running
    shutil.rmtree(running.data, ignore_errors=True)


@pytest.fixture
def api(server: LocalDbtCloud) -> Iterator[httpx.Client]:
    """Yield a client, and delete the test's subscriptions afterwards."""
    with http_client(server) as client:
        yield client
        for one in client.get(SUBSCRIPTIONS, params={"limit": 100}).json()["data"]:
            client.delete(f"{SUBSCRIPTION}/{one['id']}")


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    with WebhookReceiver() as running:
        yield running


def subscribe(api: httpx.Client, url: str, **fields: Any) -> dict[str, Any]:
    body = {"name": "test", "client_url": url, "event_types": ALL_EVENTS, "active": True, **fields}
    response = api.post(SUBSCRIPTIONS, json=body)
    assert response.status_code == 201, response.text
    data: dict[str, Any] = response.json()["data"]
    return data


def log_of(api: httpx.Client, subscription: dict[str, Any], count: int = 1) -> list[dict[str, Any]]:
    """Return the delivery log once ``count`` deliveries are no longer pending."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        events: list[dict[str, Any]]
        events = api.get(f"{SUBSCRIPTION}/{subscription['id']}/events").json()["data"]
        if len([one for one in events if one["status"] != "pending"]) >= count:
            return events
        time.sleep(0.05)
    raise TimeoutError(events)


def cancelled_run(server: LocalDbtCloud, job_id: int = DAILY_BUILD) -> int:
    """Return a cancelled run, which is the fastest way to an event."""
    run_id = server.trigger(job_id, steps_override=["dbt deps"])
    server.request("POST", f"runs/{run_id}/cancel/")
    return run_id


def test_a_subscription_is_created_read_replaced_and_deleted(api: httpx.Client) -> None:
    created = subscribe(api, "https://example.com/hook", job_ids=[DAILY_BUILD, "1"])
    assert created.pop("hmac_secret")
    assert created["id"].startswith("wsu_")
    assert created["job_ids"] == [str(DAILY_BUILD), "1"]
    assert (created["account_id"], created["http_status_code"]) == (str(ACCOUNT_ID), "0")
    assert created["created_at"] == created["updated_at"]
    assert created["created_at"].isdecimal()
    assert len(created["created_at"]) == len("1675795644808877")  # microseconds
    address = f"{SUBSCRIPTION}/{created['id']}"
    assert api.get(address).json() == {"data": created, "status": {"code": 200}}
    body = {**created, "name": "other", "active": False, "event_types": ["job.run.errored"]}
    replaced = api.put(f"{address}/", json=body).json()["data"]
    assert (replaced["name"], replaced["active"]) == ("other", False)
    assert replaced["updated_at"] > created["updated_at"]
    assert api.delete(address).json() == {
        "data": {"id": created["id"]},
        "status": {"code": 200, "is_success": True},
    }
    assert api.get(address).status_code == api.delete(address).status_code == 404


def test_subscriptions_are_listed_ten_at_a_time(api: httpx.Client) -> None:
    ids = [subscribe(api, "https://example.com/hook")["id"] for _ in range(12)]
    first = api.get(SUBSCRIPTIONS).json()
    assert [one["id"] for one in first["data"]] == ids[:10]
    assert first["extra"] == {
        "pagination": {"total_count": 12, "count": 10},
        "filters": {"offset": 0, "limit": 10},
    }
    second = api.get(SUBSCRIPTIONS, params={"offset": 10}).json()
    assert [one["id"] for one in second["data"]] == ids[10:]
    assert "hmac_secret" not in first["data"][0]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("client_url", "http://example.com/hook"),
        ("client_url", "ftp://localhost/hook"),
        ("client_url", "https://"),
        ("client_url", "https://[::1"),
        ("client_url", "https://localhost:99999/"),
        ("client_url", 1),
        ("event_types", []),
        ("event_types", ["job.run.paused"]),
        ("active", "yes"),
        ("name", ""),
        ("job_ids", ["daily"]),
        ("job_ids", [2**63]),
    ],
)
def test_a_wrong_subscription_is_400(api: httpx.Client, field: str, value: Any) -> None:
    good = {"name": "n", "client_url": "https://e.com", "event_types": ALL_EVENTS, "active": True}
    response = api.post(SUBSCRIPTIONS, json={**good, field: value})
    assert response.status_code == 400
    assert response.json()["status"]["code"] == 400


def test_run_sends_started_and_completed_events_in_the_documented_format(
    server: LocalDbtCloud, api: httpx.Client, receiver: WebhookReceiver
) -> None:
    subscription = subscribe(api, receiver.url, name="mine")
    run_id = server.trigger(DAILY_BUILD, cause="because", steps_override=["dbt deps"])
    started, completed = receiver.wait(2)
    run = server.wait(run_id)
    assert started.summary == ("job.run.started", "Running", 3)
    assert completed.summary == ("job.run.completed", "Success", 10)
    for one in (started, completed):
        key = subscription["hmac_secret"].encode()
        assert one.signature == hmac.new(key, one.body, hashlib.sha256).hexdigest()
    event = completed.event
    finished_at = event["data"].pop("runFinishedAt")
    assert finished_at == run["finished_at"][:19].replace(" ", "T") + "Z"
    assert event["eventId"].startswith("wev_")
    assert len(event["timestamp"]) == len("2023-01-31T19:28:15.742843678Z")
    del event["timestamp"], event["eventId"]
    assert event == {
        "accountId": ACCOUNT_ID,
        "webhookId": subscription["id"],
        "eventType": "job.run.completed",
        "webhookName": "mine",
        "data": {
            "jobId": str(DAILY_BUILD),
            "jobName": "Daily build",
            "runId": str(run_id),
            "environmentId": str(run["environment_id"]),
            "environmentName": "Production",
            "dbtVersion": run["dbt_version"],
            "projectName": "Jaffle shop",
            "projectId": str(run["project_id"]),
            "runStatus": "Success",
            "runStatusCode": 10,
            "runStatusMessage": "None",
            "runReason": "because",
            "runStartedAt": run["started_at"][:19].replace(" ", "T") + "Z",
        },
    }


def test_failed_run_sends_an_errored_and_a_completed_event(
    server: LocalDbtCloud, api: httpx.Client, receiver: WebhookReceiver
) -> None:
    subscribe(api, receiver.url)
    server.trigger(DAILY_BUILD, steps_override=["dbt run-operation no_such_macro"])
    started, errored, completed = receiver.wait(3)
    assert started.summary == ("job.run.started", "Running", 3)
    assert errored.summary == ("job.run.errored", "Errored", 20)
    assert completed.summary == ("job.run.completed", "Errored", 20)
    assert errored.event["data"]["runStatusMessage"] == "dbt command failed"
    assert errored.event["data"]["runErroredAt"] == completed.event["data"]["runFinishedAt"]
    assert "runErroredAt" not in completed.event["data"]


def test_cancelled_run_sends_a_completed_event(
    server: LocalDbtCloud, api: httpx.Client, receiver: WebhookReceiver
) -> None:
    subscribe(api, receiver.url, event_types=["job.run.completed"])
    cancelled_run(server)
    assert receiver.wait(1)[0].summary == ("job.run.completed", "Cancelled", 30)


def test_subscription_receives_only_its_jobs_and_event_types(
    server: LocalDbtCloud, api: httpx.Client, receiver: WebhookReceiver
) -> None:
    subscribe(api, receiver.url, job_ids=[BUILD_AFTER_LOAD], event_types=["job.run.completed"])
    subscribe(api, receiver.url, active=False)
    cancelled_run(server, DAILY_BUILD)
    included = cancelled_run(server, BUILD_AFTER_LOAD)
    assert [one.event["data"]["runId"] for one in receiver.wait(1)] == [str(included)]


def test_failed_delivery_is_retried_unchanged(
    server: LocalDbtCloud, api: httpx.Client, receiver: WebhookReceiver
) -> None:
    receiver.status_codes = [500, 302]
    subscription = subscribe(api, receiver.url, event_types=["job.run.completed"])
    cancelled_run(server)
    assert len({(one.signature, one.body) for one in receiver.wait(3)}) == 1
    (event,) = log_of(api, subscription)
    assert (event["status"], event["attempts"], event["http_status_code"]) == (
        "delivered",
        3,
        "200",
    )
    address = f"{SUBSCRIPTION}/{subscription['id']}"
    receipt = api.get(f"{address}/event/{event['id']}/receipt").json()["data"]
    assert [one["http_status_code"] for one in receipt["receipts"]] == ["500", "302", "200"]
    assert receipt["request_body"].encode() == receiver.received[0].body
    assert api.get(f"{address}/event/wev_none/receipt").status_code == 404
    now = api.get(address).json()["data"]
    assert (now["active"], now["http_status_code"]) == (True, "200")
    assert int(now["dispatched_at"]) > int(now["created_at"])


def test_five_failures_in_a_row_deactivate_a_webhook(
    server: LocalDbtCloud, api: httpx.Client, receiver: WebhookReceiver
) -> None:
    receiver.status_codes = [410] * 5
    subscription = subscribe(api, receiver.url, event_types=["job.run.completed"])
    cancelled_run(server)
    (event,) = log_of(api, subscription)
    assert (event["status"], event["attempts"]) == ("failed", 5)
    address = f"{SUBSCRIPTION}/{subscription['id']}"
    deactivated = api.get(address).json()["data"]
    assert (deactivated["active"], deactivated["http_status_code"]) == (False, "410")
    cancelled_run(server)
    assert len(api.get(f"{address}/events").json()["data"]) == 1
    api.put(address, json={**deactivated, "active": True})
    cancelled_run(server)
    assert len(receiver.wait(6)) == 6


def test_delivery_fails_when_the_receiver_times_out(
    server: LocalDbtCloud, api: httpx.Client, receiver: WebhookReceiver
) -> None:
    receiver.hang.set()
    subscription = subscribe(api, receiver.url, event_types=["job.run.completed"])
    cancelled_run(server)
    receiver.wait(2)
    receiver.hang.clear()
    (event,) = log_of(api, subscription)
    address = f"{SUBSCRIPTION}/{subscription['id']}/event/{event['id']}/receipt"
    first = api.get(address).json()["data"]["receipts"][0]
    assert first["error"] == "No response within 1 seconds."


def test_webhook_test_endpoint_returns_the_receiver_s_status_code(
    api: httpx.Client, receiver: WebhookReceiver
) -> None:
    receiver.status_codes = [418]
    subscription = subscribe(api, receiver.url)
    response = api.get(f"{SUBSCRIPTION}/{subscription['id']}/test").json()["data"]
    assert response["verification_status_code"] == "418"
    (received,) = receiver.received
    assert received.event["eventId"] == response["event_id"]


def test_a_killed_server_loses_no_event_and_repeats_no_acknowledged_one(
    make_local_dbt_cloud: MakeLocalDbtCloud, receiver: WebhookReceiver
) -> None:
    server = make_local_dbt_cloud(*QUICK)
    with http_client(server) as api:
        subscription = subscribe(api, receiver.url, event_types=["job.run.completed"])
        cancelled_run(server)
        log_of(api, subscription)
        receiver.hang.set()
        cancelled_run(server)
        acknowledged, unanswered = receiver.wait(2)
        server.end(signal.SIGKILL)
        receiver.hang.clear()
        server.start()
        last = cancelled_run(server)
    again, newest = receiver.wait(4)[2:]
    assert again == unanswered != acknowledged
    assert newest.event["data"]["runId"] == str(last)


def test_run_interrupted_by_a_crash_sends_errored_and_completed_events(
    make_local_dbt_cloud: MakeLocalDbtCloud,
    receiver: WebhookReceiver,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    project = write_slow_project(tmp_path_factory.mktemp("project"))
    server = make_local_dbt_cloud(*QUICK, "--dbt-project", project)
    with http_client(server) as api:
        subscription = subscribe(api, receiver.url)
        server.trigger(DAILY_BUILD, steps_override=[SLOW])
        log_of(api, subscription)  # the receiver has acknowledged the start
    server.end(signal.SIGKILL)
    server.start()
    assert [one.summary for one in receiver.wait(3)] == [
        ("job.run.started", "Running", 3),
        ("job.run.errored", "Errored", 20),
        ("job.run.completed", "Errored", 20),
    ]

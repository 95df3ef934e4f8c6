"""What people get to read when a task has ended, by real receivers."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from email.message import Message as Mail
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("aiosmtpd", reason="needs requirements-dev.txt")

from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message as MailHandler
from airflow.providers.dbt.cloud.operators.dbt import DbtCloudRunJobOperator

from include.dbt_cloud.notifications.callbacks import notify_failure, notify_late, notify_success
from include.dbt_cloud.notifications.channels import Message, slack_text
from include.local_airflow.processes import free_port
from tests.running_dbt_cloud import RunningDbtCloud
from tests.unit.dbt_cloud.conftest import missing_table
from tests.webhook_receiver import WebhookReceiver


class Mailbox(MailHandler):
    def __init__(self) -> None:
        super().__init__()
        self.mails: list[Mail] = []

    def handle_message(self, message: Mail) -> None:
        self.mails.append(message)


def connect(monkeypatch: pytest.MonkeyPatch, conn_id: str, **connection: Any) -> None:
    monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(connection))


@pytest.fixture
def mailbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mailbox]:
    """A mail server that the connection notify_email leads to."""
    mailbox = Mailbox()
    server = Controller(mailbox, hostname="127.0.0.1", port=free_port())
    server.start()
    extra = {"disable_ssl": True, "disable_tls": True, "from_email": "airflow@shop.example"}
    connect(
        monkeypatch,
        "notify_email",
        conn_type="smtp",
        host="127.0.0.1",
        port=server.port,
        extra={**extra, "to": "ann@shop.example, bob@shop.example"},
    )
    yield mailbox
    server.stop()


@pytest.fixture
def slack(monkeypatch: pytest.MonkeyPatch) -> Iterator[WebhookReceiver]:
    with WebhookReceiver() as receiver:
        connect(monkeypatch, "notify_slack", conn_type="slackwebhook", password=receiver.url)
        yield receiver


@pytest.fixture
def webhook(monkeypatch: pytest.MonkeyPatch) -> Iterator[WebhookReceiver]:
    with WebhookReceiver() as receiver:
        extra = {"Authorization": "Bearer of-the-receiver"}
        connect(monkeypatch, "notify_webhook", conn_type="http", host=receiver.url, extra=extra)
        yield receiver


@pytest.fixture(scope="module")
def broken_run(local_dbt_cloud: RunningDbtCloud) -> dict[str, Any]:
    """A dbt Cloud run in which one model failed."""
    first = local_dbt_cloud.trigger(steps_override=["dbt run --select stg_stores"])
    local_dbt_cloud.wait(first)  # the raw tables are there now
    with missing_table(local_dbt_cloud, "stores"):
        run_id = local_dbt_cloud.trigger(steps_override=["dbt run --select stg_stores"])
        return local_dbt_cloud.wait(run_id)


def context(run: dict[str, Any] | None = None, error: Exception | None = None) -> Any:
    """What Airflow hands to a callback, as far as callbacks look at it."""
    xcoms = {"job_run_id": run["id"], "job_run_url": run["href"]} if run else {}
    ti = SimpleNamespace(
        dag_id="shop",
        run_id="manual__1",
        task_id="run_job",
        map_index=-1,
        try_number=3,
        max_tries=2,
        log_url="http://localhost:8080/dags/shop/runs/manual__1/tasks/run_job",
        task=DbtCloudRunJobOperator(task_id="run_job", job_id=65767),
        xcom_pull=lambda task_ids, key, map_indexes: xcoms.get(key),
    )
    return {"ti": ti, "exception": error}


def test_a_webhook_gets_the_failure_in_words_and_as_data(
    dbt_cloud_connection: RunningDbtCloud, webhook: WebhookReceiver, broken_run: dict[str, Any]
) -> None:
    notify_failure(context(broken_run, RuntimeError("the provider's own words")))

    (received,) = webhook.wait(1)
    event = received.event
    assert received.signature == "Bearer of-the-receiver"
    assert event["event"] == "task.failed"
    assert (event["dag_id"], event["task_id"]) == ("shop", "run_job")
    assert (event["dbt_cloud_run_id"], event["dbt_cloud_run_url"]) == (
        broken_run["id"],
        broken_run["href"],
    )
    (node,) = event["failed_nodes"]
    assert node["unique_id"] == "model.jaffle_shop.stg_stores"
    assert "stores does not exist" in node["message"]
    for words in (
        "try 3 of 3",
        broken_run["href"],
        "4, Invoke dbt with `dbt run --select stg_stores`",
        "model.jaffle_shop.stg_stores (error)",
        "open http://localhost:8080/dags/shop/runs/manual__1/tasks/run_job and press Clear",
    ):
        assert words in event["text"]


def test_an_e_mail_says_the_same_to_everybody(
    dbt_cloud_connection: RunningDbtCloud, mailbox: Mailbox, broken_run: dict[str, Any]
) -> None:
    notify_failure(context(broken_run))

    (mail,) = mailbox.mails
    assert mail["Subject"] == "Failed: shop.run_job"
    assert mail["X-RcptTo"] == "ann@shop.example, bob@shop.example"
    body = mail.get_payload(0).get_payload(decode=True).decode()  # type: ignore[union-attr]
    assert f'<a href="{broken_run["href"]}"' in body
    assert "model.jaffle_shop.stg_stores (error)" in body


def test_slack_shows_what_dbt_said_in_a_block(
    dbt_cloud_connection: RunningDbtCloud, slack: WebhookReceiver, broken_run: dict[str, Any]
) -> None:
    notify_failure(context(broken_run))

    text = slack.wait(1)[0].event["text"]
    assert text.startswith("*Failed: shop.run_job*\n")
    assert "```  model.jaffle_shop.stg_stores (error)" in text


def test_slack_takes_no_markup_from_a_message() -> None:
    details = "<!channel> ``` " + "x" * 9999
    text = slack_text(Message("task.failed", "a < b", ["<http://x>"], details))

    assert text.startswith("*a &lt; b*\n&lt;http://x&gt;\n```&lt;!channel&gt; ''' xxx")
    assert text.endswith("x```")
    assert len(text) < 3000  # Slack splits longer ones


def test_without_a_connection_the_log_has_it(
    dbt_cloud_connection: RunningDbtCloud,
    broken_run: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    notify_failure(context(broken_run))

    assert "Failed: shop.run_job" in caplog.text
    assert "model.jaffle_shop.stg_stores (error)" in caplog.text


def test_a_receiver_in_trouble_does_not_keep_the_others_from_hearing(
    webhook: WebhookReceiver, slack: WebhookReceiver, caplog: pytest.LogCaptureFixture
) -> None:
    slack.answers = [500]
    notify_failure(context(error=ValueError("Revenue does not add up")))

    assert "ValueError: Revenue does not add up" in webhook.wait(1)[0].event["text"]
    assert "Not sent by notify_slack" in caplog.text


def test_a_mail_without_a_recipient_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, mailbox: Mailbox, caplog: pytest.LogCaptureFixture
) -> None:
    connection = json.loads(os.environ["AIRFLOW_CONN_NOTIFY_EMAIL"])
    del connection["extra"]["to"]
    connect(monkeypatch, "notify_email", **connection)
    notify_failure(context(error=ValueError("Revenue does not add up")))

    assert 'has no "to"' in caplog.text
    assert "Revenue does not add up" in caplog.text


def test_a_failure_is_told_even_if_dbt_cloud_is_gone(
    monkeypatch: pytest.MonkeyPatch, webhook: WebhookReceiver, broken_run: dict[str, Any]
) -> None:
    monkeypatch.setattr("include.dbt_cloud.client.RETRY_SECONDS", 0)
    connect(
        monkeypatch,
        "dbt_cloud_default",
        conn_type="dbt_cloud",
        host=f"localhost:{free_port()}",
        login="16173",
        password="any",
    )
    notify_failure(context(broken_run, RuntimeError("no answer")))

    event = webhook.wait(1)[0].event
    assert event["dbt_cloud_run_url"] == broken_run["href"]
    assert "not to be had" in event["text"]


def test_success_is_told_with_the_run_and_ones_own_words(
    webhook: WebhookReceiver, broken_run: dict[str, Any]
) -> None:
    notify_success(context(broken_run), "1,500 customers")

    event = webhook.wait(1)[0].event
    assert event["event"] == "task.succeeded"
    assert event["dbt_cloud_run_id"] == broken_run["id"]
    assert "1,500 customers" in event["text"]


def test_lateness_is_told_with_the_time_that_was_promised(webhook: WebhookReceiver) -> None:
    late = {
        "dag_run": {"dag_id": "shop", "dag_run_id": "manual__a+b", "state": "running"},
        "deadline": {"id": "1", "deadline_time": "2026-10-01T06:30:00+00:00"},
    }
    asyncio.run(notify_late(late))

    event = webhook.wait(1)[0].event
    assert event["event"] == "dag_run.late"
    assert "to be done by 2026-10-01 06:30:00 UTC, and is running" in event["text"]
    assert event["airflow_url"].endswith("/dags/shop/runs/manual__a%2Bb")


def dag_run_context(reason: str, run: dict[str, Any] | None = None) -> Any:
    """What Airflow hands to a callback of a whole Dag run: why, and a task, but no exception."""
    told = context(run)
    del told["exception"]
    return told | {"reason": reason, "run_id": "manual__1", "dag": SimpleNamespace(dag_id="shop")}


def test_a_dag_run_s_failure_tells_of_its_task_as_the_task_s_own_would(
    dbt_cloud_connection: RunningDbtCloud, webhook: WebhookReceiver, broken_run: dict[str, Any]
) -> None:
    notify_failure(dag_run_context("task_failure", broken_run))
    notify_failure(context(broken_run))

    of_dag_run, of_task = (received.event for received in webhook.wait(2))
    assert of_dag_run == of_task | {"event": "dag_run.failed"}
    assert "model.jaffle_shop.stg_stores (error)" in of_dag_run["text"]


def test_a_dag_run_s_failure_has_the_exception_from_the_task_s_log(
    webhook: WebhookReceiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__LOGGING__BASE_LOG_FOLDER", str(tmp_path))
    notify_failure(dag_run_context("task_failure"))
    log = tmp_path / "dag_id=shop/run_id=manual__1/task_id=run_job/attempt=3.log"
    log.parent.mkdir(parents=True)
    error = {"exc_type": "ValueError", "exc_value": "Revenue does not add up"}
    lines = [{"event": "Task failed", "error_detail": [error]}, {"event": "the end"}]
    log.write_text("\n".join(map(json.dumps, lines)) + "\nno JSON\n")
    notify_failure(dag_run_context("task_failure"))

    elsewhere, here = (received.event["text"] for received in webhook.wait(2))
    assert "The exception is in the task's log: http://localhost:8080/" in elsewhere
    assert "ValueError: Revenue does not add up" in here


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("timed_out", "it took longer than its dagrun_timeout. Not finished: run_job."),
        ("all_tasks_deadlocked", "none of its tasks can start any more. Not finished: run_job."),
        ("a_new_one", "Dag run manual__1: a_new_one. Not finished: run_job."),
    ],
)
def test_a_dag_run_that_no_task_ended_says_why(
    webhook: WebhookReceiver, reason: str, words: str
) -> None:
    notify_failure(dag_run_context(reason))

    event = webhook.wait(1)[0].event
    assert event["event"] == "dag_run.failed"
    assert event["subject"] == "Failed: shop"
    assert words in event["text"]
    assert f"See {event['airflow_url']}" in event["text"]

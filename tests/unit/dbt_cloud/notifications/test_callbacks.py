"""Tests of notifications with real receivers."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from email.header import decode_header, make_header
from email.message import Message as Mail
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pendulum
import pytest

pytest.importorskip("aiosmtpd", reason="needs requirements-dev.txt")
pytest.importorskip("hypothesis", reason="needs requirements-dev.txt")

from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message as MailHandler
from airflow.providers.dbt.cloud.operators.dbt import DbtCloudRunJobOperator
from airflow.sdk import DAG
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from include.dbt_cloud.api.runs import Run
from include.dbt_cloud.models import dbt_cloud_models
from include.dbt_cloud.models.outcome import Outcome, data_about
from include.dbt_cloud.models.progress import Progress, RunProgress
from include.dbt_cloud.models.steps import Result
from include.dbt_cloud.models.trigger import DbtCloudNodeTrigger
from include.dbt_cloud.notifications.callbacks import notify_failure, notify_late, notify_success
from include.dbt_cloud.notifications.channels import Message, send, slack_text
from include.local_dbt_cloud.testing import LocalDbtCloud, free_port
from tests.bundled import DAILY_BUILD
from tests.unit.dbt_cloud.conftest import missing_table
from tests.webhook_receiver import WebhookReceiver

ORDERS, TEST = "model.shop.orders", "test.shop.unique_orders.a1"
RUN = Run(7, 20, "https://dbt/7", "", False, None, datetime(2026, 11, 26, tzinfo=UTC))


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
    """Start a mail server for the connection notify_email."""
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
def broken_run(local_dbt_cloud: LocalDbtCloud) -> dict[str, Any]:
    """Return a dbt Cloud run in which one model failed."""
    first = local_dbt_cloud.trigger(DAILY_BUILD, steps_override=["dbt run --select stg_stores"])
    local_dbt_cloud.wait(first)  # creates the raw tables
    with missing_table(local_dbt_cloud, "stores"):
        run_id = local_dbt_cloud.trigger(
            DAILY_BUILD, steps_override=["dbt run --select stg_stores"]
        )
        return local_dbt_cloud.wait(run_id)


def context(run: dict[str, Any] | None = None, error: Exception | None = None) -> Any:
    """Return the part of a callback's context that callbacks use."""
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


def test_failure_webhook_has_text_and_data(
    dbt_cloud_connection: LocalDbtCloud, webhook: WebhookReceiver, broken_run: dict[str, Any]
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


def test_failure_email_reaches_all_recipients(
    dbt_cloud_connection: LocalDbtCloud, mailbox: Mailbox, broken_run: dict[str, Any]
) -> None:
    notify_failure(context(broken_run))

    (mail,) = mailbox.mails
    assert mail["Subject"] == "Failed: shop.run_job"
    assert mail["X-RcptTo"] == "ann@shop.example, bob@shop.example"
    body = mail.get_payload(0).get_payload(decode=True).decode()  # type: ignore[union-attr]
    assert f'<a href="{broken_run["href"]}"' in body
    assert "model.jaffle_shop.stg_stores (error)" in body


def test_slack_message_shows_dbt_errors_in_a_code_block(
    dbt_cloud_connection: LocalDbtCloud, slack: WebhookReceiver, broken_run: dict[str, Any]
) -> None:
    notify_failure(context(broken_run))

    text = slack.wait(1)[0].event["text"]
    assert text.startswith("*Failed: shop.run_job*\n")
    assert "```  model.jaffle_shop.stg_stores (error)" in text


def test_slack_text_escapes_markup_and_limits_its_length() -> None:
    details = "<!channel> ``` " + "x" * 9999
    text = slack_text(Message("task.failed", "a < b", ["<http://x>"], details))

    assert text.startswith("*a &lt; b*\n&lt;http://x&gt;\n```&lt;!channel&gt; ''' xxx")
    assert text.endswith("x```")
    assert len(text) < 3000  # Slack splits longer ones


def test_failure_is_logged_without_a_connection(
    dbt_cloud_connection: LocalDbtCloud,
    broken_run: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    notify_failure(context(broken_run))

    assert "Failed: shop.run_job" in caplog.text
    assert "model.jaffle_shop.stg_stores (error)" in caplog.text


def test_failing_receiver_does_not_stop_the_others(
    webhook: WebhookReceiver, slack: WebhookReceiver, caplog: pytest.LogCaptureFixture
) -> None:
    slack.status_codes = [500]
    notify_failure(context(error=ValueError("Revenue does not add up")))

    assert "ValueError: Revenue does not add up" in webhook.wait(1)[0].event["text"]
    assert "Not sent by notify_slack" in caplog.text


def test_email_without_a_recipient_is_logged_with_advice(
    monkeypatch: pytest.MonkeyPatch, mailbox: Mailbox, caplog: pytest.LogCaptureFixture
) -> None:
    connection = json.loads(os.environ["AIRFLOW_CONN_NOTIFY_EMAIL"])
    del connection["extra"]["to"]
    connect(monkeypatch, "notify_email", **connection)
    notify_failure(context(error=ValueError("Revenue does not add up")))

    assert 'has no "to"' in caplog.text
    assert "Revenue does not add up" in caplog.text


def test_failure_is_sent_while_dbt_cloud_is_unreachable(
    monkeypatch: pytest.MonkeyPatch, webhook: WebhookReceiver, broken_run: dict[str, Any]
) -> None:
    monkeypatch.setattr("include.dbt_cloud.api.client.RETRY_SECONDS", 0)
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
    assert "Could not fetch the run's details" in event["text"]


def test_success_message_has_the_run_and_custom_text(
    webhook: WebhookReceiver, broken_run: dict[str, Any]
) -> None:
    notify_success(context(broken_run), "1,500 customers")

    event = webhook.wait(1)[0].event
    assert event["event"] == "task.succeeded"
    assert event["dbt_cloud_run_id"] == broken_run["id"]
    assert "1,500 customers" in event["text"]


def test_lateness_message_has_the_deadline(webhook: WebhookReceiver) -> None:
    late = {
        "dag_run": {"dag_id": "shop", "dag_run_id": "manual__a+b", "state": "running"},
        "deadline": {"id": "1", "deadline_time": "2026-10-01T06:30:00+00:00"},
    }
    asyncio.run(notify_late(late))

    event = webhook.wait(1)[0].event
    assert event["event"] == "dag_run.late"
    assert "missed its deadline 2026-10-01 06:30:00 UTC; its state is running" in event["text"]
    assert event["airflow_url"].endswith("/dags/shop/runs/manual__a%2Bb")


def dag_run_context(reason: str, run: dict[str, Any] | None = None) -> Any:
    """Return the context of a Dag run's callback: a reason and a task, but no exception."""
    values = context(run)
    del values["exception"]
    return values | {"reason": reason, "run_id": "manual__1", "dag": SimpleNamespace(dag_id="shop")}


def test_dag_run_failure_equals_the_message_of_its_task(
    dbt_cloud_connection: LocalDbtCloud, webhook: WebhookReceiver, broken_run: dict[str, Any]
) -> None:
    notify_failure(dag_run_context("task_failure", broken_run))
    notify_failure(context(broken_run))

    of_dag_run, of_task = (received.event for received in webhook.wait(2))
    assert of_dag_run == of_task | {"event": "dag_run.failed"}
    assert "model.jaffle_shop.stg_stores (error)" in of_dag_run["text"]


def test_dag_run_failure_has_the_exception_from_the_task_log(
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

    remote, local = (received.event["text"] for received in webhook.wait(2))
    assert "The exception is in the task's log: http://localhost:8080/" in remote
    assert "ValueError: Revenue does not add up" in local


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("timed_out", "it took longer than its dagrun_timeout. Not finished: run_job."),
        ("all_tasks_deadlocked", "none of its tasks can start. Not finished: run_job."),
        ("a_new_one", "Dag run manual__1: a_new_one. Not finished: run_job."),
    ],
)
def test_dag_run_failure_without_a_failed_task_has_the_reason(
    webhook: WebhookReceiver, reason: str, words: str
) -> None:
    notify_failure(dag_run_context(reason))

    event = webhook.wait(1)[0].event
    assert event["event"] == "dag_run.failed"
    assert event["subject"] == "Failed: shop"
    assert words in event["text"]
    assert f"See {event['airflow_url']}" in event["text"]


@pytest.fixture
def model_task(tmp_path: Path) -> Any:
    orders = {"unique_id": ORDERS, "name": "orders", "type": "model", "parents": []}
    file = tmp_path / "lineage.json"
    file.write_text(json.dumps({"version": 1, "nodes": [orders]}))
    with DAG("shop", schedule=None, start_date=pendulum.datetime(2026, 4, 1)) as dag:
        dbt_cloud_models("jaffle_shop", job_id=1, lineage=file)
    return dag.get_task("jaffle_shop.orders")


def model_context(task: Any, xcoms: dict[str, Any], error: Exception | None = None) -> Any:
    """Return the context of a callback after a trigger has ended the task."""
    values = context(error=error)
    values["ti"].task, values["ti"].task_id = task, task.task_id
    values["ti"].xcom_pull = lambda task_ids, key, map_indexes: xcoms.get(key)
    return values if error else {"ti": values["ti"]}


def ended(status: str, reason: str = "") -> dict[str, Any]:
    """Return the XComs of a model and its tests, which are text in Airflow 3.3."""
    results = {
        ORDERS: Result(ORDERS, status, 1.0, "Runtime Error: no table"),
        TEST: Result(TEST, "fail", 0.1, "Got 3 results"),
        "test.shop.good.b2": Result("test.shop.good.b2", "pass", 0.1, "fine"),
    }
    outcome = Outcome("failed", RunProgress(RUN), {} if reason else results, reason)
    return {"return_value": json.dumps(data_about(outcome, ORDERS)), "dbt_cloud_run_id": "7"}


def test_model_failure_has_the_run_and_dbt_messages(
    webhook: WebhookReceiver, model_task: Any
) -> None:
    notify_failure(model_context(model_task, ended("error")))

    event = webhook.wait(1)[0].event
    assert event["subject"] == "Failed: shop.jaffle_shop.orders"
    assert (event["dbt_cloud_run_id"], event["dbt_cloud_run_url"]) == (7, "https://dbt/7")
    assert [(node["unique_id"], node["status"]) for node in event["failed_nodes"]] == [
        (ORDERS, "error"),
        (TEST, "fail"),
    ]
    assert "dbt Cloud run 7: https://dbt/7" in event["text"]
    assert f"{ORDERS} (error): Runtime Error: no table" in event["text"]
    assert f"{TEST} (fail): Got 3 results" in event["text"]
    assert "fine" not in event["text"]


def test_model_failure_of_a_test_lists_only_the_test(
    webhook: WebhookReceiver, model_task: Any
) -> None:
    notify_failure(model_context(model_task, ended("success")))

    assert [node["unique_id"] for node in webhook.wait(1)[0].event["failed_nodes"]] == [TEST]


def test_model_failure_has_the_reason_of_an_unbuilt_node(
    webhook: WebhookReceiver, model_task: Any
) -> None:
    reason = "The run ended before this node: Cancelled by user."
    notify_failure(model_context(model_task, ended("error", reason)))

    assert f"{ORDERS} (not built): {reason}" in webhook.wait(1)[0].event["text"]


@pytest.mark.parametrize("has_run", [True, False])
def test_model_failure_after_max_silence_has_the_reason(
    webhook: WebhookReceiver, model_task: Any, has_run: bool
) -> None:
    job = {"account_id": 1, "job_id": 1, "runs": [5, 7], "key": "airflow-models:1"}
    about: dict[str, Any] = {**model_task.trigger_kwargs, "max_silence": -1.0, "followed": ""}
    trigger = DbtCloudNodeTrigger(**about, job=json.dumps(job))
    runs = (RunProgress(RUN),) if has_run else ()
    event: Any = trigger.event(Progress(runs, problem="dbt Cloud returned 503"))

    notify_failure(model_context(model_task, event.xcoms))

    sent = webhook.wait(1)[0].event
    assert f"{ORDERS} (unknown): dbt Cloud was unreadable for 0 s" in sent["text"]
    assert "dbt Cloud returned 503" in sent["text"]
    assert sent["dbt_cloud_run_id"] == 7
    where = "dbt Cloud run 7: https://dbt/7" if has_run else "dbt Cloud run 7"
    assert where in sent["text"].splitlines()


def test_model_failure_in_a_worker_has_only_the_exception(
    webhook: WebhookReceiver, model_task: Any
) -> None:
    notify_failure(model_context(model_task, ended("error"), ValueError("501 nodes are too many")))

    event = webhook.wait(1)[0].event
    assert "ValueError: 501 nodes are too many" in event["text"]
    assert "dbt_cloud_run_id" not in event


def test_model_failure_without_xcoms_has_the_error_of_the_trigger_log(
    webhook: WebhookReceiver, model_task: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__LOGGING__BASE_LOG_FOLDER", str(tmp_path))
    log = tmp_path / "dag_id=shop/run_id=manual__1/task_id=jaffle_shop.orders/attempt=3.log"
    log.parent.mkdir(parents=True)
    value = {"level": "error", "event": "dbt Cloud was unreadable for 1800 s."}
    log.with_name("attempt=3.log.trigger.12.log").write_text(json.dumps(value) + "\n[1]\nno JSON\n")

    notify_failure(model_context(model_task, {}))

    assert value["event"] in webhook.wait(1)[0].event["text"]


@pytest.mark.parametrize("value", ["no JSON", "[1]", "7", 7, None, {"unique_id": ORDERS}])
def test_model_failure_with_malformed_xcoms_has_no_run(
    webhook: WebhookReceiver, model_task: Any, value: Any
) -> None:
    notify_failure(model_context(model_task, {"return_value": value}))

    event = webhook.wait(1)[0].event
    assert "dbt_cloud_run_id" not in event
    assert "The exception is in the task's log: http" in event["text"]


def test_model_success_has_the_run(webhook: WebhookReceiver, model_task: Any) -> None:
    value = json.loads(ended("success")["return_value"])  # by a worker, which publishes an asset
    notify_success(model_context(model_task, {"return_value": value}))

    assert webhook.wait(1)[0].event["dbt_cloud_run_url"] == "https://dbt/7"


@pytest.mark.parametrize(
    ("subject", "sent"),
    [
        (
            "Error: Daily\nBcc: eve@shop.example\n\nbuild",
            "Error: Daily Bcc: eve@shop.example build",
        ),
        ("Error:\r\n\tDaily build", "Error: Daily build"),
        ("Error: Daily\u2028build\x0b\x85\x00\x1b[31m", "Error: Daily build \ufffd [31m"),
        ("Fehler: Tägliche Größen 📈", "Fehler: Tägliche Größen 📈"),
        ("Error: half of \ud83d a character", "Error: half of \ufffd a character"),
        ("Error: " + "x" * 9999, f"Error: {'x' * 191} …"),
        ("", "(no subject)"),
    ],
)
def test_email_subject_is_one_line_for_any_names(mailbox: Mailbox, subject: str, sent: str) -> None:
    assert send(Message("task.failed", subject, ["of \ud83d and \x00"])) == ["notify_email"]

    (mail,) = mailbox.mails
    assert str(make_header(decode_header(mail["Subject"]))) == sent
    assert mail["Bcc"] is None
    assert mail["X-RcptTo"] == "ann@shop.example, bob@shop.example"


@given(subject=st.text(), line=st.text())
@settings(max_examples=50, suppress_health_check=list(HealthCheck))
def test_send_mails_any_message(mailbox: Mailbox, subject: str, line: str) -> None:
    assert send(Message("task.failed", subject, [line])) == ["notify_email"]

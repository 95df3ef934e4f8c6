"""dbt runs on fresh sources or not at all, and people hear what came of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.airflow_client import Airflow
from tests.e2e.project import Project
from tests.e2e.receiver import messages
from tests.waiting import eventually
from tests.webhook_receiver import WebhookReceiver

pytestmark = [pytest.mark.slow, pytest.mark.group(name="airflow-b")]

DAG = "gate_on_fresh_sources"
GATE, DBT, CHECKS = "wait_for_sources", "trigger_dbt_cloud_job_run", "check_marts"
TASKS = {"ingest", GATE, DBT, CHECKS, "notify_consumers"}
JOB_ID, CHECK_JOB_ID = 30605, 48620


@pytest.fixture(scope="module")
def green_run(airflow: Airflow, receiver: WebhookReceiver) -> str:
    """Return a Dag run that succeeded and sent its message to the receiver."""
    run_id = airflow.trigger(DAG)
    assert airflow.wait(DAG, run_id) == "success"
    return run_id


@contextmanager
def undelivered_payments(project: Project) -> Iterator[None]:
    """Withhold the file; the last one arrived more than three days ago."""
    file = project.root / "include" / "raw_data" / "payments.csv.gz"
    with project.warehouse() as connection:
        old = "update raw.loads set loaded_at = now() - interval 74 hours"
        connection.execute(f"{old} where table_name = 'payments'")
    away = file.rename(file.with_name("away"))
    try:
        yield
    finally:
        away.rename(file)


def dbt_runs(project: Project) -> int:
    return len(project.dbt_runs(job_definition_id=JOB_ID))


def test_fresh_sources_are_built_checked_and_reported_to_consumers(
    airflow: Airflow, project: Project, receiver: WebhookReceiver, green_run: str
) -> None:
    assert airflow.states(DAG, green_run) == dict.fromkeys(TASKS, "success")
    assert set(airflow.xcom(DAG, green_run, CHECKS).values()) == {"passed"}
    assert set(airflow.xcom(DAG, green_run, "ingest")) == {
        source.removeprefix("jaffle_shop.") for source in airflow.xcom(DAG, green_run, GATE)
    }
    assert project.query("select count(*) > 1000 from analytics.customers") == [(True,)]
    url = airflow.xcom(DAG, green_run, GATE, "job_run_url")
    checks = {run["href"]: run["id"] for run in project.dbt_runs(job_definition_id=CHECK_JOB_ID)}
    assert airflow.xcom(DAG, green_run, GATE, "job_run_id") == checks[url]
    task = f"/dags/{DAG}/dagRuns/{green_run}/taskInstances/{GATE}"
    links = airflow.call("GET", f"{task}/links")["extra_links"]
    assert links["Monitor Job Run"] == url
    assert "run_url=" in links["Run timeline"]
    (success,) = messages(receiver, green_run, "task.succeeded")
    assert success["task_id"] == "notify_consumers"


def test_failed_mart_check_is_reported_once_and_not_to_consumers(
    airflow: Airflow, project: Project, receiver: WebhookReceiver, green_run: str
) -> None:
    run_id = green_run
    with project.warehouse() as connection:
        connection.execute("delete from analytics.orders where order_id = 1000")
    airflow.clear(DAG, run_id, CHECKS)
    assert airflow.wait(DAG, run_id) == "failed"

    assert airflow.tasks(DAG, run_id)[CHECKS]["try_number"] == 3  # the first, and two since
    assert airflow.states(DAG, run_id)["notify_consumers"] == "upstream_failed"
    (failure,) = messages(receiver, run_id, "task.failed")  # and not one for each try
    assert failure["task_id"] == CHECKS
    assert "mart orders, id 1000, is_invented False" in failure["text"]
    assert len(messages(receiver, run_id, "task.succeeded")) == 1


def test_gate_fails_on_stale_sources_and_starts_no_dbt_run(
    airflow: Airflow, project: Project, receiver: WebhookReceiver, green_run: str
) -> None:
    before = dbt_runs(project)
    with undelivered_payments(project):
        run_id, states = airflow.run(DAG, max_wait=0)

    assert states == {
        "ingest": "success",
        GATE: "failed",
        DBT: "upstream_failed",
        CHECKS: "upstream_failed",
        "notify_consumers": "upstream_failed",
    }
    assert dbt_runs(project) == before
    stale = "jaffle_shop.payments was loaded 3 days 2 hours ago (allowed: 2 days)"
    assert stale in airflow.log(DAG, run_id, GATE)
    # On a busy machine Airflow may add a try, and so a message: if a trigger fires before its
    # task's process is gone, the scheduler takes the end of that process for the task's.
    failure, *_ = messages(receiver, run_id, "task.failed")
    assert stale in failure["text"]
    assert "orders" not in failure["text"]


def test_gate_reports_lateness_and_passes_when_the_source_arrives(
    airflow: Airflow, project: Project, receiver: WebhookReceiver, green_run: str
) -> None:
    before = dbt_runs(project)
    with undelivered_payments(project):
        run_id = airflow.trigger(DAG)
        (late,) = eventually(
            lambda: messages(receiver, run_id, "dag_run.late"), "the Dag run's lateness is told"
        )
        assert "its state is running" in late["text"]
        assert airflow.states(DAG, run_id)[GATE] != "failed"
        assert dbt_runs(project) == before
        with project.warehouse() as connection:
            connection.execute("insert into raw.loads values ('payments', now(), 0)")

        assert airflow.wait(DAG, run_id) == "success"
    assert dbt_runs(project) == before + 1

"""A run that nobody in Airflow started makes a Dag start, by dbt Cloud's webhook."""

from __future__ import annotations

import socket
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from include.dbt_cloud.events import job_runs
from tests.e2e.airflow_client import Airflow
from tests.e2e.project import Project
from tests.e2e.test_job_dags import missing_table
from tests.e2e.webhooks import Sender, events_of
from tests.waiting import eventually
from tests.webhook_receiver import WebhookReceiver

pytestmark = [pytest.mark.slow, pytest.mark.group(name="airflow-b")]

DAG, JOB = "react_to_dbt_cloud_run", 48630
READ, REFRESH, NOTIFY = "read_runs", "refresh_quiet_customers", "notify_people"
ASSET = job_runs(JOB)


def run_outside(project: Project, job_id: int = JOB) -> dict[str, Any]:
    """By plain HTTP, as curl does it; returns the run."""
    body = {"cause": "started by curl"}
    answer = project.dbt_cloud.post(f"/jobs/{job_id}/run/", json=body).raise_for_status()
    run: dict[str, Any] = answer.json()["data"]
    return run


def dag_run_about(airflow: Airflow, run_id: int) -> str:
    """Return the Dag run that the run's one event has started."""

    def found() -> list[dict[str, Any]]:
        return [one for one in events_of(airflow, ASSET) if run_in(one)["run_id"] == run_id]

    def started() -> list[str]:
        return [one["run_id"] for event in found() for one in event["created_dagruns"]]

    [dag_run] = eventually(started, f"run {run_id} starts {DAG}")
    assert len(found()) == 1
    return dag_run


def run_in(event: dict[str, Any]) -> dict[str, Any]:
    run: dict[str, Any] = event["extra"]["dbt_cloud_run"]
    return run


def test_run_started_outside_airflow_refreshes_the_marketing_table(
    airflow: Airflow, project: Project
) -> None:
    airflow.call("PATCH", f"/dags/{DAG}", is_paused=False)

    run = run_outside(project)

    dag_run = dag_run_about(airflow, run["id"])
    assert airflow.wait(DAG, dag_run) == "success"
    states = {READ: "success", REFRESH: "success", NOTIFY: "skipped"}
    assert airflow.states(DAG, dag_run) == states
    [read] = airflow.xcom(DAG, dag_run, READ)
    assert (read["run_id"], read["status"], read["url"]) == (run["id"], "success", run["href"])
    assert "Started by: started by curl" in airflow.log(DAG, dag_run, READ)
    count = airflow.xcom(DAG, dag_run, REFRESH)
    assert project.query("select count(*) from marketing.quiet_customers") == [(count,)]
    assert count > 0

    by_hand, states = airflow.run(DAG)  # takes the same run once more

    assert states == {READ: "success", REFRESH: "success", NOTIFY: "skipped"}
    assert airflow.xcom(DAG, by_hand, READ) == [read]


def test_failed_run_sends_a_notification_with_its_failed_node(
    airflow: Airflow, project: Project, receiver: WebhookReceiver
) -> None:
    airflow.call("PATCH", f"/dags/{DAG}", is_paused=False)

    with missing_table(project, "orders"):
        run = run_outside(project)
        dag_run = dag_run_about(airflow, run["id"])

    assert airflow.wait(DAG, dag_run) == "success"
    assert airflow.states(DAG, dag_run) == {READ: "success", REFRESH: "skipped", NOTIFY: "success"}
    [sent] = [one.event for one in receiver.received if one.event["dag_run_id"] == dag_run]
    assert sent["event"] == "dbt_cloud_run.failed"
    assert sent["subject"] == "Error: Marketing build in dbt Cloud"
    assert sent["dbt_cloud_run_id"] == run["id"]
    assert [node["unique_id"] for node in sent["failed_nodes"]] == ["model.jaffle_shop.stg_orders"]
    for words in ("Started by: started by curl", "orders does not exist", run["href"]):
        assert words in sent["text"]


def test_each_of_many_runs_is_handled_while_the_dag_runs(
    airflow: Airflow, project: Project
) -> None:
    """It has one active Dag run, so the other runs wait, and share one."""
    airflow.call("PATCH", f"/dags/{DAG}", is_paused=False)
    run_ids = list(range(9_000_000_000_100, 9_000_000_000_108))

    with Sender(project) as sender:
        for run_id in run_ids:
            assert sender.send(sender.finished(run_id, JOB)).status_code == 200
            time.sleep(0.5)

    dag_runs = {dag_run_about(airflow, run_id) for run_id in run_ids}
    assert {airflow.wait(DAG, dag_run) for dag_run in dag_runs} == {"success"}
    handled = [run["run_id"] for one in dag_runs for run in airflow.xcom(DAG, one, READ)]
    assert sorted(set(run_ids) & set(handled)) == run_ids
    assert len(handled) == len(set(handled))


def test_receiver_rejects_invalid_webhooks_and_deduplicates_repeated_ones(
    airflow: Airflow, project: Project
) -> None:
    airflow.call("PATCH", f"/dags/{DAG}", is_paused=True)
    before = len(events_of(airflow, ASSET))
    with Sender(project) as sender, slow_body(project):  # which keeps nobody else waiting
        body = sender.finished(9_000_000_000_001, JOB)
        wrong = {
            401: sender.send(body, "0" * 64),
            400: sender.send(b"{}"),
            403: sender.send(sender.finished(2, JOB, account=1)),
            413: sender.send(b"0" * 1_000_000),
        }
        with ThreadPoolExecutor(10) as threads:
            same = list(threads.map(sender.send, [body] * 10))

    assert {code: answer.status_code for code, answer in wrong.items()} == {x: x for x in wrong}
    assert [answer.status_code for answer in same] == [200] * 10
    assert len(events_of(airflow, ASSET)) == before + 1
    log = (project.root / ".airflow" / "logs" / "api-server.log").read_text()
    assert "Refused a webhook with 413" in log
    assert sender.secret not in log
    answers = [line for line in log.splitlines() if "path=/webhooks/" in line]
    assert answers
    assert not [line for line in answers if "status_code=500" in line]


def test_receiver_replaces_characters_that_postgresql_cannot_store(
    airflow: Airflow, project: Project
) -> None:
    airflow.call("PATCH", f"/dags/{DAG}", is_paused=True)
    odd = "by \0 \ud83d hand"
    ids = [9_000_000_000_002, 9_000_000_000_003]
    with Sender(project) as sender:
        bodies = [sender.finished(run_id, JOB, jobName=odd, runReason=odd) for run_id in ids]
        bodies += [sender.finished(9_000_000_000_004, JOB, projectId=None)]
        answers = [sender.send(body).status_code for body in bodies * 2]
        absurd = sender.send(sender.finished(10**400, JOB))

    assert answers == [200] * 6
    assert absurd.status_code == 400
    newest = [run_in(event) for event in events_of(airflow, ASSET, newest=3)]
    assert [run["run_id"] for run in newest] == [9_000_000_000_004, *reversed(ids)]
    assert newest[1]["cause"] == newest[1]["job_name"] == "by \ufffd \ufffd hand"


def slow_body(project: Project) -> socket.socket:
    """Send the beginning of a webhook; closing the socket cuts it short."""
    client = socket.create_connection(("127.0.0.1", project.port))
    client.sendall(b"POST /webhooks/dbt-cloud HTTP/1.1\r\nHost: a\r\nContent-Length: 900\r\n\r\n{")
    return client


def test_start_reactivates_its_only_webhook_subscription(
    airflow: Airflow, project: Project
) -> None:
    address = str(project.dbt_cloud.base_url).replace("/v2/", "/v3/") + "webhooks/subscription"
    [made] = project.dbt_cloud.get(f"{address}s").json()["data"]
    project.dbt_cloud.put(f"{address}/{made['id']}", json=made | {"active": False})

    assert project.launcher("start").returncode == 0

    [found] = project.dbt_cloud.get(f"{address}s").json()["data"]
    assert (found["id"], found["active"]) == (made["id"], True)
    assert found["client_url"] == f"http://127.0.0.1:{project.port}/webhooks/dbt-cloud"


def test_start_keeps_a_custom_webhook_connection(airflow: Airflow, project: Project) -> None:
    path = "/connections/dbt_cloud_webhooks"
    local = airflow.call("GET", path)["host"]
    own = {"connection_id": "dbt_cloud_webhooks", "conn_type": "generic"}
    with Sender(project) as sender:
        host, secret = "ab123.us1.dbt.com", "what-dbt-cloud-showed"
        airflow.call("PATCH", path, **own, host=host, password=secret)
        try:
            assert project.launcher("start").returncode == 0
            assert airflow.call("GET", path)["host"] == host
            eventually(lambda: sender.send(b"{}").status_code == 401, "the user's secret counts")
        finally:
            airflow.call("PATCH", path, **own, host=local, password=sender.secret)
        eventually(lambda: sender.send(b"{}").status_code == 400, "the local one counts again")

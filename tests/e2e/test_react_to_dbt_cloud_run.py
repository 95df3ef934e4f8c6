"""A run that nobody in Airflow started makes a Dag start, by dbt Cloud's webhook."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from include.dbt_cloud.events import job_runs
from tests.e2e.airflow_client import Airflow
from tests.e2e.project import Project, eventually
from tests.e2e.test_job_dags import missing_table
from tests.e2e.webhooks import Sender, events_of
from tests.webhook_receiver import WebhookReceiver

DAG, JOB = "react_to_dbt_cloud_run", 48630
READ, REFRESH, TELL = "read_runs", "refresh_quiet_customers", "tell_people"
ASSET = job_runs(JOB)


def run_outside(project: Project, job_id: int = JOB) -> dict[str, Any]:
    """By plain HTTP, as curl does it; returns the run."""
    body = {"cause": "started by curl"}
    answer = project.dbt_cloud.post(f"/jobs/{job_id}/run/", json=body).raise_for_status()
    run: dict[str, Any] = answer.json()["data"]
    return run


def dag_run_about(airflow: Airflow, run_id: int) -> str:
    """The Dag run that the run's one event has started."""

    def found() -> list[dict[str, Any]]:
        return [one for one in events_of(airflow, ASSET) if told(one)["run_id"] == run_id]

    def started() -> list[str]:
        return [one["run_id"] for event in found() for one in event["created_dagruns"]]

    [dag_run] = eventually(started, f"run {run_id} starts {DAG}")
    assert len(found()) == 1
    return dag_run


def told(event: dict[str, Any]) -> dict[str, Any]:
    run: dict[str, Any] = event["extra"]["dbt_cloud_run"]
    return run


def test_a_run_that_somebody_else_started_refreshes_marketing_s_table(
    airflow: Airflow, project: Project
) -> None:
    airflow.call("PATCH", f"/dags/{DAG}", is_paused=False)

    run = run_outside(project)

    dag_run = dag_run_about(airflow, run["id"])
    assert airflow.wait(DAG, dag_run) == "success"
    states = {READ: "success", REFRESH: "success", TELL: "skipped"}
    assert airflow.states(DAG, dag_run) == states
    [read] = airflow.xcom(DAG, dag_run, READ)
    assert (read["run_id"], read["status"], read["url"]) == (run["id"], "success", run["href"])
    assert "Who or what started it: started by curl" in airflow.log(DAG, dag_run, READ)
    count = airflow.xcom(DAG, dag_run, REFRESH)
    assert project.query("select count(*) from marketing.quiet_customers") == [(count,)]
    assert count > 0

    by_hand, states = airflow.run(DAG)  # takes the same run once more

    assert states == {READ: "success", REFRESH: "success", TELL: "skipped"}
    assert airflow.xcom(DAG, by_hand, READ) == [read]


def test_a_run_that_fails_is_told_with_its_failed_node(
    airflow: Airflow, project: Project, receiver: WebhookReceiver
) -> None:
    airflow.call("PATCH", f"/dags/{DAG}", is_paused=False)

    with missing_table(project, "orders"):
        run = run_outside(project)
        dag_run = dag_run_about(airflow, run["id"])

    assert airflow.wait(DAG, dag_run) == "success"
    assert airflow.states(DAG, dag_run) == {READ: "success", REFRESH: "skipped", TELL: "success"}
    [heard] = [one.event for one in receiver.received if one.event["dag_run_id"] == dag_run]
    assert heard["event"] == "dbt_cloud_run.failed"
    assert heard["subject"] == "Error: Marketing build in dbt Cloud"
    assert heard["dbt_cloud_run_id"] == run["id"]
    assert [node["unique_id"] for node in heard["failed_nodes"]] == ["model.jaffle_shop.stg_orders"]
    for words in ("Who or what started it: started by curl", "orders does not exist", run["href"]):
        assert words in heard["text"]


def test_wrong_webhooks_are_refused_and_one_that_comes_ten_times_is_one_event(
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
    assert "A webhook is refused with 413" in log
    assert sender.secret not in log
    answers = [line for line in log.splitlines() if "path=/webhooks/" in line]
    assert answers
    assert not [line for line in answers if "status_code=500" in line]


def slow_body(project: Project) -> socket.socket:
    """The beginning of a webhook; closed at the end of the block, it is a cut one."""
    client = socket.create_connection(("127.0.0.1", project.port))
    client.sendall(b"POST /webhooks/dbt-cloud HTTP/1.1\r\nHost: a\r\nContent-Length: 900\r\n\r\n{")
    return client


def test_a_start_subscribes_once_and_switches_on_what_failures_have_switched_off(
    airflow: Airflow, project: Project
) -> None:
    address = str(project.dbt_cloud.base_url).replace("/v2/", "/v3/") + "webhooks/subscription"
    [made] = project.dbt_cloud.get(f"{address}s").json()["data"]
    project.dbt_cloud.put(f"{address}/{made['id']}", json=made | {"active": False})

    assert project.launcher("start").returncode == 0

    [found] = project.dbt_cloud.get(f"{address}s").json()["data"]
    assert (found["id"], found["active"]) == (made["id"], True)
    assert found["client_url"] == f"http://127.0.0.1:{project.port}/webhooks/dbt-cloud"


def test_a_start_leaves_the_user_s_own_connection_alone(airflow: Airflow, project: Project) -> None:
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

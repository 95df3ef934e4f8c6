"""Each Dag runs as cloned, on a real scheduler, triggerer and local dbt Cloud."""

from __future__ import annotations

from typing import Any

import duckdb
import pytest

from include.dbt_cloud.api.advice import BY_STATUS, NOT_REACHED
from include.dbt_cloud.run.retry_policy import IN_THE_CODE
from tests.e2e.airflow_client import Airflow
from tests.e2e.project import Project
from tests.e2e.receiver import messages
from tests.e2e.variants import MISSING_JOB, TELLING, UNREADABLE
from tests.waiting import eventually
from tests.webhook_receiver import WebhookReceiver

pytestmark = [pytest.mark.slow, pytest.mark.group(name="airflow-a")]

ACTIVE = {"status__in": "[1,2,3]"}
PIPELINE = "extract_load_transform"


@pytest.fixture(scope="module")
def pipeline_run(airflow: Airflow) -> str:
    """Return a Dag run of the whole pipeline that succeeded."""
    return airflow.first_run(PIPELINE)


def rows_in_file(project: Project, table: str) -> int:
    files = project.root / "include" / "raw_data" / f"{table}.csv*"
    ((rows,),) = duckdb.execute(f"select count(*) from read_csv('{files}')").fetchall()
    return int(rows)


def test_run_dbt_cloud_job_builds_the_marts(airflow: Airflow, project: Project) -> None:
    run_id = airflow.first_run("run_dbt_cloud_job")

    assert airflow.states("run_dbt_cloud_job", run_id) == {"trigger_dbt_cloud_job_run": "success"}
    dbt_run = airflow.xcom("run_dbt_cloud_job", run_id, "trigger_dbt_cloud_job_run")
    assert project.dbt_runs(id__gt=dbt_run - 1)[-1]["status_humanized"] == "Success"
    assert project.query("select count(*) > 1000 from analytics.customers") == [(True,)]


def test_extract_load_transform_loads_every_row_and_beats_the_baseline(
    airflow: Airflow, project: Project, pipeline_run: str
) -> None:
    loaded = airflow.xcom(PIPELINE, pipeline_run, "load")
    assert loaded == airflow.xcom(PIPELINE, pipeline_run, "extract")
    for table, rows in loaded.items():
        assert rows == rows_in_file(project, table)
        assert project.query(f"select count(*) from raw.{table}") == [(rows,)]
    model = airflow.xcom(PIPELINE, pipeline_run, "train_model")
    assert model["mean_absolute_error"] < model["baseline_error"]
    kept = project.query("select mean_absolute_error from ml.spend_model")
    assert [float(error) for (error,) in kept] == [model["mean_absolute_error"]]


def test_clearing_the_transformation_neither_extracts_nor_loads(
    airflow: Airflow, project: Project, pipeline_run: str
) -> None:
    before = airflow.tasks(PIPELINE, pipeline_run)
    dbt_runs = len(project.dbt_runs())

    airflow.clear(PIPELINE, pipeline_run, "trigger_dbt_cloud_job_run")
    assert airflow.wait(PIPELINE, pipeline_run) == "success"

    after = airflow.tasks(PIPELINE, pipeline_run)
    assert {name: task["try_number"] for name, task in after.items()} == {
        "extract": 1,
        "load": 1,
        "trigger_dbt_cloud_job_run": 2,
        "train_model": 2,
    }
    assert after["load"]["start_date"] == before["load"]["start_date"]
    assert len(project.dbt_runs()) == dbt_runs + 1


def test_running_the_pipeline_again_changes_no_row(
    airflow: Airflow, project: Project, pipeline_run: str
) -> None:
    contents = "select md5(string_agg(o::varchar, '' order by o)) from raw.orders o"
    before = project.query(contents)

    airflow.run(PIPELINE)

    assert project.query(contents) == before


def test_a_backfilled_day_replaces_the_rows_received_that_day_and_no_others(
    airflow: Airflow, project: Project, pipeline_run: str, sound_warehouse: None
) -> None:
    dag_id = PIPELINE
    that_day = "received_at >= '2026-05-05 06:00:00+00' and received_at < '2026-05-06 06:00:00+00'"
    expected = project.query(f"select count(*) from raw.orders where {that_day}")[0][0]
    with project.warehouse() as connection:
        connection.execute(f"delete from raw.orders where {that_day}")
        connection.execute("delete from raw.payments where payment_id < 100")
    others = project.query("select count(*) from raw.payments")

    airflow.call(
        "POST",
        "/backfills",
        dag_id=dag_id,
        from_date="2026-05-05T00:00:00Z",
        to_date="2026-05-05T12:00:00Z",
        run_backwards=False,
        dag_run_conf={},
        max_active_runs=1,
        reprocess_behavior="none",
    )

    def backfilled() -> dict[str, str] | None:
        runs = airflow.call("GET", f"/dags/{dag_id}/dagRuns?run_type=backfill")["dag_runs"]
        return runs[0] if runs and runs[0]["state"] in ("success", "failed") else None

    run = eventually(backfilled, "the backfilled Dag run ends")
    loaded = airflow.xcom(dag_id, run["dag_run_id"], "load")
    assert loaded["orders"] == expected > 0
    assert project.query(f"select count(*) from raw.orders where {that_day}") == [(expected,)]
    assert project.query("select count(*) from raw.payments") == others


def test_log_of_a_deferred_task_is_read_without_an_error(
    airflow: Airflow, project: Project
) -> None:
    dag_id, task = "run_dbt_cloud_job", "trigger_dbt_cloud_job_run"
    with project.warehouse():  # dbt waits for it
        run_id = airflow.trigger(dag_id)
        airflow.wait_for_task(dag_id, run_id, task, "deferred")

        def served_log() -> str | None:  # once the triggerer has written a line
            log = airflow.log(dag_id, run_id, task)
            return log if "http://127.0.0.1:" in log.partition("::endgroup::")[0] else None

        log = eventually(served_log, "the log names the server it comes from")
    assert airflow.wait(dag_id, run_id) == "success"

    assert "Could not read" not in log


def test_running_job_skips_the_trigger_task(airflow: Airflow, project: Project) -> None:
    dag_id = "check_before_running_dbt_cloud_job"
    with project.warehouse():  # dbt waits for it, so the job keeps running
        project.dbt_cloud.post("/jobs/65767/run/", json={"cause": "by hand"}).raise_for_status()
        run_id, states = airflow.run(dag_id)
        active = project.dbt_runs(**ACTIVE)

    assert states == {
        "check_job_is_not_running": "success",
        "trigger_dbt_cloud_job_run": "skipped",
    }
    assert [run["trigger"] for run in active] == [None]
    assert "Job 65767 is" in airflow.log(dag_id, run_id, "check_job_is_not_running")
    eventually(lambda: not project.dbt_runs(**ACTIVE), "the job's run ends")
    assert set(airflow.run(dag_id)[1].values()) == {"success"}


def test_failed_dbt_test_fails_the_task_and_sends_a_notification(
    airflow: Airflow, project: Project, receiver: WebhookReceiver, sound_warehouse: None
) -> None:
    dag_id = TELLING
    with project.warehouse() as connection:
        connection.execute("update raw.orders set total_cents = total_cents + 1000000")

    run_id, states = airflow.run(dag_id)

    assert states == {"trigger_dbt_cloud_job_run": "failed"}
    log = airflow.log(dag_id, run_id, "trigger_dbt_cloud_job_run")
    assert "Invoke dbt with `dbt build`" in log
    assert "Failure in test" in log
    assert airflow.tasks(dag_id, run_id)["trigger_dbt_cloud_job_run"]["try_number"] == 2
    failure = failure_of(receiver, run_id)
    assert failure["failed_step"] == "4, Invoke dbt with `dbt build`"
    assert failure["dbt_cloud_run_url"] in failure["text"]
    assert "test.jaffle_shop." in failure["text"]
    assert "try 2 of 2" in failure["text"]


@pytest.mark.parametrize(
    ("host", "token", "reason", "advice"),
    [
        ("", "not-the-token", "Invalid token.", BY_STATUS[401]),
        ("localhost:1", "", "Connection refused", NOT_REACHED),
    ],
)
def test_task_log_reports_an_invalid_connection(
    airflow: Airflow, project: Project, host: str, token: str, reason: str, advice: str
) -> None:
    dag_id, path = "run_dbt_cloud_job", "/connections/dbt_cloud_default"
    right = {
        "connection_id": "dbt_cloud_default",
        "conn_type": "dbt_cloud",
        "host": f"localhost:{project.dbt_cloud_port}",
        "login": "16173",
        "password": project.token,
    }
    wrong = right | {"host": host or right["host"], "password": token or right["password"]}
    airflow.call("PATCH", path, **wrong)
    try:
        run_id, states = airflow.run(dag_id)
    finally:
        airflow.call("PATCH", path, **right)

    assert states == {"trigger_dbt_cloud_job_run": "failed"}
    log = airflow.log(dag_id, run_id, "trigger_dbt_cloud_job_run")
    assert reason in log
    assert advice in log
    assert "not-the-token" not in log
    tries = airflow.tasks(dag_id, run_id)["trigger_dbt_cloud_job_run"]["try_number"]
    assert tries == (1 if advice == BY_STATUS[401] else 2), "a refused call is not repeated"


def test_task_log_and_notification_report_an_unknown_job_id(
    airflow: Airflow, receiver: WebhookReceiver
) -> None:
    run_id, states = airflow.run(MISSING_JOB)

    assert states == {"trigger_dbt_cloud_job_run": "failed"}
    log = airflow.log(MISSING_JOB, run_id, "trigger_dbt_cloud_job_run")
    assert "The requested resource was not found" in log
    assert BY_STATUS[404] in log
    assert airflow.tasks(MISSING_JOB, run_id)["trigger_dbt_cloud_job_run"]["try_number"] == 1
    failure = failure_of(receiver, run_id)
    assert failure["task_id"] == "trigger_dbt_cloud_job_run"
    assert "AirflowException: 404:Not Found" in failure["text"]
    assert f"open {failure['airflow_url']} and press Clear" in failure["text"]


def test_code_that_the_warehouse_cannot_read_fails_the_task_without_a_retry(
    airflow: Airflow,
) -> None:
    run_id, states = airflow.run(UNREADABLE)

    assert states == {"trigger_dbt_cloud_job_run": "failed"}
    assert airflow.tasks(UNREADABLE, run_id)["trigger_dbt_cloud_job_run"]["try_number"] == 1
    assert IN_THE_CODE in airflow.log(UNREADABLE, run_id, "trigger_dbt_cloud_job_run")


def failure_of(receiver: WebhookReceiver, run_id: str) -> dict[str, Any]:
    """Return the Dag processor's message about a whole Dag run."""

    def failure() -> list[dict[str, Any]]:
        return messages(receiver, run_id, "dag_run.failed")

    (only,) = eventually(failure, f"the failure of {run_id} is told")
    return only

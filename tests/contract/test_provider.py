"""Airflow's own hook, operators, sensor and trigger against the local dbt Cloud."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudHook, DbtCloudJobRunException
from airflow.providers.dbt.cloud.operators.dbt import (
    DbtCloudGetJobRunArtifactOperator,
    DbtCloudListJobRunsOperator,
    DbtCloudRunJobOperator,
)
from airflow.providers.dbt.cloud.sensors.dbt import DbtCloudJobRunSensor
from airflow.providers.dbt.cloud.triggers.dbt import DbtCloudRunJobTrigger
from airflow.sdk import DAG

from include.local_dbt_cloud.testing import LocalDbtCloud
from tests.bundled import BUILD_AFTER_LOAD, DAILY_BUILD


@pytest.fixture
def context() -> dict[str, Any]:
    """Return the part of a task's context that the operators read; ``pushed`` has its XComs."""
    pushed: dict[str, Any] = {}

    def xcom_push(key: str, value: Any) -> None:
        pushed[key] = value

    return {"ti": SimpleNamespace(try_number=1, xcom_push=xcom_push), "pushed": pushed}


@pytest.fixture
def hook(dbt_cloud_connection: LocalDbtCloud) -> DbtCloudHook:
    return DbtCloudHook()


def test_hook_test_connection_succeeds(hook: DbtCloudHook) -> None:
    assert hook.test_connection() == (True, "Successfully connected to dbt Cloud.")


def test_run_job_operator_returns_a_successful_run(hook: DbtCloudHook, context: Any) -> None:
    run_job = DbtCloudRunJobOperator(
        task_id="run_job", job_id=DAILY_BUILD, check_interval=1, dag=DAG("contract", schedule=None)
    )
    run_id = run_job.execute(context)
    run = hook.get_job_run(run_id=run_id).json()["data"]
    assert (run["status"], run["status_humanized"]) == (10, "Success")
    assert context["pushed"]["job_run_url"] == run["href"]


def test_run_job_operator_reports_the_dbt_error(
    dbt_cloud_connection: LocalDbtCloud,
    context: Any,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run_job = DbtCloudRunJobOperator(
        task_id="run_job",
        job_id=DAILY_BUILD,
        check_interval=1,
        dag=DAG("contract", schedule=None),
        steps_override=["dbt run-operation no_such_macro"],
    )
    with pytest.raises(DbtCloudJobRunException, match="terminal status ERROR"):
        run_job.execute(context)
    task_log = capsys.readouterr().out
    assert "dbt command failed" in task_log
    assert "could not find a macro with the name 'no_such_macro'" in task_log


@pytest.mark.parametrize(
    ("command", "status"),
    [("dbt parse", "success"), ("dbt run-operation no_such_macro", "error")],
)
def test_run_job_trigger_reports_the_final_status(
    dbt_cloud_connection: LocalDbtCloud, command: str, status: str
) -> None:
    run_id = dbt_cloud_connection.trigger(DAILY_BUILD, steps_override=[command])
    trigger = DbtCloudRunJobTrigger(
        conn_id="dbt_cloud_default",
        run_id=run_id,
        end_time=time.time() + 60,
        poll_interval=0.1,
        account_id=None,
    )

    async def first_event() -> Any:
        return await anext(aiter(trigger.run()))

    event = asyncio.run(first_event())
    assert (event.payload["status"], event.payload["run_id"]) == (status, run_id)


def test_job_run_sensor_succeeds_or_raises_for_a_failed_run(
    dbt_cloud_connection: LocalDbtCloud, context: Any
) -> None:
    good = dbt_cloud_connection.trigger(DAILY_BUILD, steps_override=["dbt parse"])
    bad = dbt_cloud_connection.trigger(
        DAILY_BUILD, steps_override=["dbt run-operation no_such_macro"]
    )
    dbt_cloud_connection.wait(bad)
    assert DbtCloudJobRunSensor(task_id="good", run_id=good).poke(context)
    with pytest.raises(DbtCloudJobRunException):
        DbtCloudJobRunSensor(task_id="bad", run_id=bad).poke(context)


def test_get_artifact_operator_downloads_run_results(
    dbt_cloud_connection: LocalDbtCloud, context: Any, tmp_path: Path
) -> None:
    run_id = dbt_cloud_connection.trigger(DAILY_BUILD)
    dbt_cloud_connection.wait(run_id)
    download = DbtCloudGetJobRunArtifactOperator(
        task_id="download",
        run_id=run_id,
        path="run_results.json",
        output_file_name=str(tmp_path / "run_results.json"),
    )
    results = json.loads(Path(download.execute(context)).read_text())
    assert {result["status"] for result in results["results"]} <= {"success", "pass"}
    assert "model.jaffle_shop.customers" in {one["unique_id"] for one in results["results"]}


def test_list_job_runs_operator_reads_every_page(
    dbt_cloud_connection: LocalDbtCloud, context: Any
) -> None:
    """dbt Cloud returns at most 100 runs per page."""
    server = dbt_cloud_connection
    created = [server.trigger(BUILD_AFTER_LOAD) for _ in range(103)]
    for run_id in reversed(created):
        server.request("POST", f"runs/{run_id}/cancel/")
    list_runs = DbtCloudListJobRunsOperator(task_id="list_runs", job_id=BUILD_AFTER_LOAD)
    listed: Any = list_runs.execute(context)
    ids = [run["id"] for run in listed]
    assert set(created) <= set(ids)
    assert len(ids) == len(set(ids)) > 100

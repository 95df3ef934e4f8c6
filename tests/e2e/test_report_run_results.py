"""A report on every run, and no report hides a failure."""

from __future__ import annotations

from pathlib import Path

import pytest

from include.local_dbt_cloud.serving.connections import DBT_CLOUD
from tests.e2e.airflow_client import Airflow
from tests.e2e.project import Project
from tests.e2e.test_job_dags import missing_table

pytestmark = [pytest.mark.slow, pytest.mark.group(name="airflow-b")]

DAG, TRIGGER, REPORT = "report_run_results", "trigger_dbt_cloud_job_run", "report_results"


def folder_of(project: Project, run_id: int) -> Path:
    place = f"localhost_{project.dbt_cloud_port}/{DBT_CLOUD.login}/run-{run_id}"
    return project.root / "include" / ".local" / "reports" / place


def test_report_of_a_failed_run_keeps_it_failed_and_can_be_repeated(
    airflow: Airflow, project: Project
) -> None:
    # The tries after the first resume the run, which needs the table too.
    with missing_table(project, "stores"):
        run_id, states = airflow.run(DAG)

    assert states == {"start_a_run": "success", TRIGGER: "failed", REPORT: "success"}
    assert airflow.call("GET", f"/dags/{DAG}/dagRuns/{run_id}")["state"] == "failed"
    data = airflow.xcom(DAG, run_id, REPORT)
    assert data["status"] == "Error"
    assert "model.jaffle_shop.stg_stores" in {failed["node"] for failed in data["failed"]}
    folder = folder_of(project, data["run_id"])
    assert "stores does not exist" in (folder / "report.html").read_text()
    assert "stores does not exist" in airflow.log(DAG, run_id, REPORT)

    asked, states = airflow.run(DAG, run_id=data["run_id"])

    assert states == {"start_a_run": "success", TRIGGER: "skipped", REPORT: "success"}
    assert airflow.xcom(DAG, asked, REPORT)["counts"] == data["counts"]
    assert airflow.call("GET", f"/dags/{DAG}/dagRuns/{asked}")["state"] == "success"


def test_report_of_a_successful_run_writes_a_chart_and_artifacts(
    airflow: Airflow, project: Project
) -> None:
    run_id, states = airflow.run(DAG)

    assert set(states.values()) == {"success"}
    data = airflow.xcom(DAG, run_id, REPORT)
    assert data["counts"]["success"] == len(data["models"]) == 12
    assert project.query("select count(*) > 1000 from analytics.customers") == [(True,)]
    folder = folder_of(project, data["run_id"])
    assert (folder / "run_times.png").stat().st_size > 10_000
    assert (folder / "step-4" / "manifest.json").exists()

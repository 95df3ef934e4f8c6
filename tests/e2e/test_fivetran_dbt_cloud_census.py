"""Ingest, transform, activate: rows that were missing end in the file that Census writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.airflow_client import Airflow
from tests.e2e.project import Project

pytestmark = [pytest.mark.slow, pytest.mark.group(name="airflow-b")]

DAG_ID = "fivetran_dbt_cloud_census"
STEPS = (
    "sync_fivetran_connector",
    "trigger_dbt_cloud_job_run",
    "trigger_census_sync",
    "wait_for_census_sync",
)


def sent_files(project: Project) -> set[Path]:
    return set((project.root / "include" / ".local" / "census").glob("*.jsonl"))


def test_missing_rows_are_ingested_transformed_and_sent(airflow: Airflow, project: Project) -> None:
    customer = "select customer_id from raw.customers where email is not null order by 1 limit 1"
    ((missing,),) = project.query(customer)
    project.query(f"delete from raw.customers where customer_id = {missing}")

    run_id, states = airflow.run(DAG_ID)

    assert states == dict.fromkeys(STEPS, "success")
    landed = f"select count(*) > 0 from raw.customers where customer_id = {missing}"
    assert project.query(landed) == [(True,)]
    sync_run = airflow.xcom(DAG_ID, run_id, "trigger_census_sync")
    (file,) = (file for file in sent_files(project) if file.stem == str(sync_run))
    records: list[dict[str, Any]] = [json.loads(line) for line in file.read_text().splitlines()]
    with_email = "select count(*) from analytics.customers where email is not null"
    assert [(len(records),)] == project.query(with_email)
    assert missing in {record["record_payload"]["customer_id"] for record in records}


def test_failed_fivetran_sync_starts_no_dbt_run_and_no_census_sync(
    airflow: Airflow, project: Project
) -> None:
    path = "/connections/fivetran_default"
    right = airflow.call("GET", path) | {"password": "local-fivetran-secret"}
    sent, dbt_runs = sent_files(project), len(project.dbt_runs())
    airflow.call("PATCH", path, **right | {"password": "another-fivetran-secret"})
    try:
        run_id, states = airflow.run(DAG_ID)
    finally:
        airflow.call("PATCH", path, **right)

    assert states == dict.fromkeys(STEPS, "upstream_failed") | {STEPS[0]: "failed"}
    log = airflow.log(DAG_ID, run_id, STEPS[0])
    assert "The API key or its secret is wrong." in log
    assert "another-fivetran-secret" not in log
    assert (sent_files(project), len(project.dbt_runs())) == (sent, dbt_runs)

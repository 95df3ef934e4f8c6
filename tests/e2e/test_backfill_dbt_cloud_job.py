"""Backfills of backfill_dbt_cloud_job: each Dag run builds the days of its data interval."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.e2e.airflow_client import Airflow
from tests.e2e.project import Project
from tests.e2e.variants import NO_BATCHES
from tests.e2e.watching import run_outside

pytestmark = [pytest.mark.slow, pytest.mark.group(name="airflow-a")]

DAG = "backfill_dbt_cloud_job"
CHOOSE, BUILD, LIST = "choose_days", "trigger_dbt_cloud_job_run", "list_batches"
MODEL = "model.jaffle_shop.order_totals"
JOB_ID = 48623
FUTURE = "2099-08-06T00:00:00Z"
TABLE = "from analytics.order_totals order by all"


def backfill(airflow: Airflow, first: str, last: str, **options: Any) -> dict[str, str]:
    """Return day → state of its Dag run, after a backfill."""
    airflow.backfill(DAG, first, last, **options)
    runs = backfill_runs(airflow)
    return {day: runs[day]["state"] for day in sorted(runs) if first <= day <= last}


def backfill_runs(airflow: Airflow) -> dict[str, dict[str, Any]]:
    """Return day → the backfill's Dag run."""
    found = airflow.call("GET", f"/dags/{DAG}/dagRuns?run_type=backfill&limit=100")["dag_runs"]
    return {run["logical_date"][:10]: run for run in found}


def full_refresh(project: Project, start: str, end: str) -> list[tuple[Any, ...]]:
    """Rebuild the table for these days with one command; return its rows."""
    interval = f"--event-time-start {start} --event-time-end {end}"
    command = f"dbt build --full-refresh --select order_totals {interval}"
    assert run_outside(project, JOB_ID, command)["status"] == 10
    return project.query(TABLE)


@contextmanager
def order_without_store(project: Project, day: str) -> Iterator[None]:
    """Violate the model's contract on one day."""
    order = "select * replace (-1 as order_id, null as store_id) from raw.orders"
    with project.warehouse() as connection:
        connection.execute(
            f"insert into raw.orders {order} where ordered_at::date = '{day}' limit 1"
        )
    try:
        yield
    finally:
        with project.warehouse() as connection:
            connection.execute("delete from raw.orders where order_id = -1")


@pytest.mark.timeout(600)
@pytest.mark.parametrize("backwards", [False, True], ids=["oldest first", "newest first"])
def test_backfill_with_a_repaired_day_equals_a_full_refresh(
    airflow: Airflow, project: Project, backwards: bool
) -> None:
    # Each direction has days of its own, since a backfill skips days that have a Dag run.
    month = "07" if backwards else "06"
    days = [f"2026-{month}-{day:02}" for day in (11, 12, 13, 14)]
    with project.warehouse() as connection:
        connection.execute("drop table if exists analytics.order_totals")
    with order_without_store(project, days[1]):
        states = backfill(airflow, days[0], days[-1], run_backwards=backwards, max_active_runs=3)
    assert states == dict.fromkeys(days, "success") | {days[1]: "failed"}
    failed = backfill_runs(airflow)[days[1]]["dag_run_id"]
    assert "NOT NULL constraint failed: order_totals.store_id" in airflow.log(DAG, failed, BUILD)
    built = "select distinct ordered_at::date::varchar from analytics.order_totals order by 1"
    assert project.query(built) == [(day,) for day in days if day != days[1]]

    airflow.clear(DAG, failed, BUILD)

    assert airflow.wait(DAG, failed) == "success"
    rows = project.query(TABLE)
    assert len(rows) > 200
    assert rows == full_refresh(project, days[0], f"2026-{month}-15")


def test_clearing_a_day_rebuilds_it_with_its_late_rows(airflow: Airflow, project: Project) -> None:
    day = "2026-05-20"
    assert backfill(airflow, day, day) == {day: "success"}
    before = project.query(TABLE)
    late = "update raw.orders set total_cents = total_cents + 100"
    try:
        with project.warehouse() as connection:
            connection.execute(f"{late} where ordered_at::date = '{day}'")
        run_id = backfill_runs(airflow)[day]["dag_run_id"]
        airflow.clear(DAG, run_id, CHOOSE)
        assert airflow.wait(DAG, run_id) == "success"
        after = project.query(TABLE)
    finally:
        with project.warehouse() as connection:
            connection.execute(f"{late.replace('+', '-')} where ordered_at::date = '{day}'")

    assert len(after) == len(before)
    changed = set(after) - set(before)
    assert {str(row[2])[:10] for row in changed} == {day}
    assert len(changed) == sum(str(row[2]).startswith(day) for row in before)


def test_manual_run_builds_several_days_in_one_dbt_cloud_run(
    airflow: Airflow, project: Project
) -> None:
    before = len(project.dbt_runs(job_definition_id=JOB_ID))
    body = {"logical_date": "2026-08-05T09:00:00Z", "conf": {"days": 4}}
    run_id = airflow.call("POST", f"/dags/{DAG}/dagRuns", **body)["dag_run_id"]

    assert airflow.wait(DAG, run_id) == "success"
    assert airflow.xcom(DAG, run_id, LIST) == {MODEL: 4}
    assert len(project.dbt_runs(job_definition_id=JOB_ID)) == before + 1
    command = "--event-time-start 2026-08-01T00:00:00 --event-time-end 2026-08-05T00:00:00"
    assert airflow.xcom(DAG, run_id, CHOOSE)[0].endswith(command)


def test_interval_in_the_future_starts_no_run(airflow: Airflow, project: Project) -> None:
    before = len(project.dbt_runs(job_definition_id=JOB_ID))
    airflow.call("PATCH", f"/dags/{DAG}", is_paused=False)
    interval = {"data_interval_start": "2026-08-05T00:00:00Z", "data_interval_end": FUTURE}
    logical_date = {"logical_date": "2026-08-05T00:00:00Z"}  # of a future one, no task starts
    run = airflow.call("POST", f"/dags/{DAG}/dagRuns", **logical_date, **interval)

    assert airflow.wait(DAG, run["dag_run_id"]) == "failed"
    assert "The interval ends in the future, at 2099-08-06" in airflow.log(
        DAG, run["dag_run_id"], CHOOSE
    )
    assert len(project.dbt_runs(job_definition_id=JOB_ID)) == before


def test_job_without_microbatch_models_fails(airflow: Airflow) -> None:
    run_id, states = airflow.run(NO_BATCHES)

    assert states == {CHOOSE: "success", BUILD: "success", LIST: "failed"}
    assert airflow.tasks(NO_BATCHES, run_id)[LIST]["try_number"] == 1
    expected = "built nothing: job 48623 has no microbatch model that tag:none selects"
    assert expected in airflow.log(NO_BATCHES, run_id, LIST)

"""Backfills of the Dag backfill_dbt_cloud_job: a dbt Cloud run per day, and one for all days."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.figures import Figure
from tests.e2e.airflow_client import Airflow
from tests.e2e.project import Project

DAG = "backfill_dbt_cloud_job"
DAYS = 30
MONTHS = ("06", "09")  # with thirty days; a backfill skips days that have a Dag run


def measure(rounds: int) -> Iterator[Figure]:
    """Yield the seconds of each way and its number of dbt Cloud runs."""
    seconds: dict[str, list[float]] = {}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            project = Project.copy_to(Path(folder))
            with project.started():
                for what, passed in ways(Airflow(project.port)):
                    seconds.setdefault(what, []).append(passed)
    for what, values in seconds.items():
        yield Figure(what, values, "s")


def ways(airflow: Airflow) -> Iterator[tuple[str, float]]:
    start(airflow, "2026-04-01", days=1)  # creates the table, and parses the dbt project
    for month, active in zip(MONTHS, (1, 4), strict=True):
        began = time.monotonic()
        days = (f"2026-{month}-01", f"2026-{month}-{DAYS}")
        airflow.backfill(DAG, *days, patience=1200, max_active_runs=active)
        yield f"{DAYS} dbt Cloud runs, {active} Dag runs at once", time.monotonic() - began
    began = time.monotonic()
    start(airflow, "2026-08-31", days=DAYS)
    yield f"1 dbt Cloud run of {DAYS} days", time.monotonic() - began


def start(airflow: Airflow, date: str, days: int) -> None:
    airflow.call("PATCH", f"/dags/{DAG}", is_paused=False)
    body = {"logical_date": f"{date}T00:00:00Z", "conf": {"days": days}}
    run_id = airflow.call("POST", f"/dags/{DAG}/dagRuns", **body)["dag_run_id"]
    assert airflow.wait(DAG, run_id) == "success"

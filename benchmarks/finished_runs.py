"""Delay from dbt's end to the next Airflow task: by webhook, by watcher, and by sensor.

Each turn has three dbt Cloud runs, one for each way. They wait for the warehouse until the sensor
is deferred, then end one after the other, at random moments of the intervals.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from statistics import quantiles
from typing import Any

from benchmarks import downstream_dags as dags
from benchmarks.figures import Figure
from tests.e2e.airflow_client import Airflow
from tests.e2e.project import Project
from tests.e2e.variants import change_file
from tests.e2e.watching import begin_to_watch, change, subscriptions
from tests.e2e.webhooks import events_of
from tests.waiting import eventually

TURNS = 8  # of each round
RUNS_AN_HOUR = 200
MAX_CALLS = 1_000_000
SENSOR, RUN, WAIT = "by_sensor", "run_job", "wait_for_run"
ASSETS = {"by_webhook": dags.WEBHOOK_ASSET, "by_watcher": dags.WATCHED_ASSET}
LISTS, POLLS = ("GET", "*/runs"), ("GET", "*/runs/*")  # the watcher's calls, and the sensor's


def measure(rounds: int) -> Iterator[Figure]:
    """Yield the figures of all turns of all rounds."""
    with tempfile.TemporaryDirectory() as folder:
        project = Project.copy_to(Path(folder))
        prepare(project)
        with project.started():
            airflow = Airflow(project.port)
            begin(project, airflow)
            began = time.monotonic()
            turns = [one_turn(project, airflow) for _ in range(rounds * TURNS)]
            seconds = time.monotonic() - began
            lists, polls = (MAX_CALLS - fault["times"] for fault in faults(project, "GET"))
            runs = project.dbt_runs(job_definition_id=dags.SENSED_JOB, limit=100)
            yield from delays(project, airflow, turns)
            yield Figure("by_watcher: list calls an hour", [lists / seconds * 3600], "")
            yield Figure("by_sensor: calls per run", [polls / len(turns)], "")
            yield Figure("by_sensor: a run takes", [duration(run) for run in runs], "s")
            for interval in (dags.INTERVAL, 30.0):
                calls = lists / seconds * 3600 * dags.INTERVAL / interval / RUNS_AN_HOUR
                what = f"by_watcher: calls per run, {RUNS_AN_HOUR} an hour, every {interval:g} s"
                yield Figure(what, [calls], "")


def prepare(project: Project) -> None:
    for file in (project.root / "dags").glob("*.py"):
        file.unlink()
    (project.root / "dags" / "downstream_dags.py").write_text(Path(dags.__file__).read_text())
    jobs = project.root / "include" / "local_dbt_cloud" / "jobs.yaml"
    change_file(jobs, {"run_slots: 1": "run_slots: 3"})


def begin(project: Project, airflow: Airflow) -> None:
    """Limit the webhooks to one job; watcher and sensor use the others."""
    for one in subscriptions(project):
        change(project, one, job_ids=[str(dags.WEBHOOK_JOB)])
    for dag_id in (SENSOR, *ASSETS):
        airflow.call("PATCH", f"/dags/{dag_id}", is_paused=False)
    begin_to_watch(airflow, "by_watcher", dags.WATCHED_ASSET)
    for method, path in (LISTS, POLLS):  # a fault without an effect counts the calls
        fault = {"kind": "slow", "seconds": 0, "times": MAX_CALLS, "method": method, "path": path}
        faults(project, "POST", json=fault)


def faults(project: Project, method: str, **options: Any) -> list[dict[str, Any]]:
    url = f"https://localhost:{project.dbt_cloud_port}/faults"
    response = project.dbt_cloud.request(method, url, **options).raise_for_status()
    left: list[dict[str, Any]] = response.json()["data"]
    return left


def one_turn(project: Project, airflow: Airflow) -> str:
    """Return the sensor's Dag run, once all three Dags have run."""
    before = {name: len(airflow.dag_runs(name)) for name in ASSETS}
    with project.warehouse():
        for job in (dags.WEBHOOK_JOB, dags.WATCHED_JOB):
            body = {"cause": "benchmark", "steps_override": dags.STEPS}
            project.dbt_cloud.post(f"/jobs/{job}/run/", json=body).raise_for_status()
        dag_run = airflow.trigger(SENSOR)
        airflow.wait_for_task(SENSOR, dag_run, WAIT, "deferred")
        time.sleep(dags.INTERVAL)  # until its trigger has started to poll
    for name, count in before.items():
        wait_for_dag_runs(airflow, name, count + 1)
    assert airflow.wait(SENSOR, dag_run) == "success"
    return dag_run


def wait_for_dag_runs(airflow: Airflow, dag_id: str, count: int) -> None:
    eventually(lambda: len(airflow.dag_runs(dag_id)) >= count, f"{dag_id} has run {count} times")


def delays(project: Project, airflow: Airflow, turns: list[str]) -> Iterator[Figure]:
    """Compare the end times in dbt Cloud's list, which are more precise than an event's."""
    listed = project.dbt_runs(limit=100) + project.dbt_runs(limit=100, offset=100)
    ends = {run["id"]: run["finished_at"] for run in listed}
    for name, asset in ASSETS.items():
        events = [one for one in events_of(airflow, asset) if one["created_dagruns"]]
        ended = [ends[event["extra"]["dbt_cloud_run"]["run_id"]] for event in events]
        stamped = [event["timestamp"] for event in events]
        started = [event["created_dagruns"][0]["start_date"] for event in events]
        yield from percentiles(f"{name}: dbt's end to the Dag run", ended, started)
        yield from percentiles(f"{name}: of it, to the event", ended, stamped)
    waited = [airflow.tasks(SENSOR, dag_run)[WAIT]["end_date"] for dag_run in turns]
    sensed = [airflow.xcom(SENSOR, dag_run, RUN) for dag_run in turns]
    yield from percentiles(
        "by_sensor: dbt's end to the sensor's", [ends[run] for run in sensed], waited
    )


def percentiles(what: str, begins: list[str], ends: list[str]) -> Iterator[Figure]:
    cuts = quantiles(map(seconds_between, begins, ends), n=20, method="inclusive")
    yield Figure(f"{what}, p50 of {len(ends)}", [cuts[9]], "s")
    yield Figure(f"{what}, p95", [cuts[-1]], "s")


def duration(run: dict[str, Any]) -> float:
    return seconds_between(run["started_at"], run["finished_at"])


def seconds_between(first: str, last: str) -> float:
    return (datetime.fromisoformat(last) - datetime.fromisoformat(first)).total_seconds()

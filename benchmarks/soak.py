"""Resource growth over many Dag runs on `make start`.

Measured after a tenth of the Dag runs and after all of them: the memory of each process with its
children, the size of each folder, and the time of a task from queued to running. The Dag is
`run_dbt_cloud_job`, whose job builds one model here, because the benchmark measures what Airflow
and the local dbt Cloud keep. It takes about half an hour, so it only runs if it is named.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from statistics import median

import psutil

from benchmarks.figures import Figure
from tests.e2e.airflow_client import Airflow
from tests.e2e.project import Project
from tests.e2e.variants import build_one_model

DAG = "run_dbt_cloud_job"
TASK = "trigger_dbt_cloud_job_run"
DAG_RUNS = 300
FIRST_SAMPLE = 30
FOLDERS = (".airflow/logs", ".airflow/postgres", "include/.local/runs", "include/.local")
MEGABYTE = 1e6


def measure(rounds: int) -> Iterator[Figure]:
    """Yield the figures of both samples; ``rounds`` is ignored, there is always one round."""
    with tempfile.TemporaryDirectory() as folder:
        project = Project.copy_to(Path(folder))
        build_one_model(project)
        with project.started():
            airflow = Airflow(project.port)
            waits = []
            for number in range(1, DAG_RUNS + 1):
                waits.append(one_dag_run(airflow))
                if number in (FIRST_SAMPLE, DAG_RUNS):
                    yield from sample(project, number, waits[-FIRST_SAMPLE:])


def one_dag_run(airflow: Airflow) -> float:
    """Run the Dag; return the seconds from the trigger to the task's start."""
    run_id, states = airflow.run(DAG)
    assert states == {TASK: "success"}, (run_id, states)
    queued = airflow.call("GET", f"/dags/{DAG}/dagRuns/{run_id}")["queued_at"]
    began = airflow.tasks(DAG, run_id)[TASK]["start_date"]
    return (datetime.fromisoformat(began) - datetime.fromisoformat(queued)).total_seconds()


def sample(project: Project, number: int, waits: list[float]) -> Iterator[Figure]:
    time.sleep(10)  # until the last writes are done and memory is freed
    after = f"after {number}"
    yield Figure(f"{after}: a task's start-up, median of {len(waits)}", [median(waits)], "s")
    for name, state in sorted(project.states().items()):
        yield Figure(f"{after}: memory of {name}", [memory(state.pid) / MEGABYTE], "MB")
    for folder in FOLDERS:
        yield Figure(f"{after}: size of {folder}", [size(project.root / folder) / MEGABYTE], "MB")


def memory(pid: int) -> int:
    """Return the memory of a process and its children; shared pages count once (PSS, else RSS)."""
    parent = psutil.Process(pid)
    infos = [each.memory_full_info() for each in [parent, *parent.children(recursive=True)]]
    return sum(getattr(info, "pss", info.rss) for info in infos)


def size(folder: Path) -> int:
    return sum(file.lstat().st_size for file in folder.rglob("*") if file.is_file())

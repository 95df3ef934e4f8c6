"""The same Dags on Celery: ``make start EXECUTOR=CeleryExecutor WORKERS=2``."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from include.local_airflow.processes import free_port
from tests.e2e.airflow_client import Airflow
from tests.e2e.crashes import DAG, IMPATIENT, TASK, copy_for_crashes
from tests.e2e.project import Project, eventually

REDIS = shutil.which("redis-server")
SLOW = {"kind": "slow", "seconds": 4, "method": "POST", "path": "*/jobs/*/run*"}

pytestmark = pytest.mark.skipif(
    REDIS is None, reason="there is no redis-server: apt-get install redis-server"
)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[str]:
    """A Redis of its own, on the loopback address."""
    port = free_port()
    command = [str(REDIS), "--bind", "127.0.0.1", "--port", str(port), "--dir", str(tmp_path)]
    server = subprocess.Popen([*command, "--save", ""], stdout=subprocess.DEVNULL)

    def answers() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    eventually(answers, "Redis answers")
    yield f"redis://127.0.0.1:{port}/0"
    server.terminate()
    server.wait(10)


@pytest.fixture
def project(tmp_path: Path, broker: str) -> Iterator[Project]:
    project = copy_for_crashes(tmp_path / "celery")
    settings = {"EXECUTOR": "CeleryExecutor", "WORKERS": "2", "BROKER_URL": broker}
    started = project.launcher("start", **IMPATIENT, **settings)
    try:
        assert started.returncode == 0, started.stdout + started.stderr
        yield project
    finally:
        project.launcher("stop")


def worker_with_a_task(project: Project) -> str | None:
    """The name of the worker that runs the task, once it runs in one."""
    for name in ("worker-1", "worker-2"):
        if any(is_task(child) for child in project.process(name).children(recursive=True)):
            return name
    return None


def is_task(process: psutil.Process) -> bool:
    """Celery's own processes have titles; a task's is the id of its instance."""
    return "airflow worker -- " in " ".join(process.cmdline())


def test_a_worker_killed_while_it_starts_a_dbt_run_leaves_one_run(project: Project) -> None:
    airflow = Airflow(project.port)
    faults = f"https://localhost:{project.dbt_cloud_port}/faults"
    project.dbt_cloud.post(faults, json=SLOW).raise_for_status()
    run_id = airflow.trigger(DAG)
    eventually(lambda: not project.dbt_cloud.get(faults).json()["data"], "dbt Cloud is asked")
    worker = eventually(lambda: worker_with_a_task(project), "a worker has the task")

    project.kill(worker, family=True)

    assert airflow.wait(DAG, run_id) == "success"
    (run,) = project.dbt_runs()
    assert run["status_humanized"] == "Success"
    assert airflow.xcom(DAG, run_id, TASK, "job_run_id") == run["id"]
    states = project.states()
    assert {name for name in states if name.startswith("worker-")} == {"worker-1", "worker-2"}
    assert states[worker].restarts == 1

"""``make start`` with a running or partly running Airflow, ``make status`` and ``make stop``.

This file has to run after the others of its group, because it stops their shared Airflow.
"""

from __future__ import annotations

import io
import re
from contextlib import suppress
from functools import partial

import psutil
import pytest
from rich.console import Console

from include.local_airflow.airflow.rest_api import COMPONENTS
from include.local_airflow.settings.launch import Launch
from include.local_airflow.status import status
from tests.e2e.airflow_client import Airflow
from tests.e2e.project import Project
from tests.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.group(name="airflow-b")]

PROCESSES = COMPONENTS | {
    "log-server",
    "postgres",
    "local-dbt-cloud",
    "local-fivetran-and-census",
}
# The database first: processes that lose it end a little later.
KILLS = ["postgres", "scheduler", "postgres", *sorted(PROCESSES - {"postgres"})]
RESTART_TIMEOUT = 120.0  # seconds; 10 on an idle machine


def pids(project: Project) -> dict[str, int]:
    return {name: state.pid for name, state in project.states().items()}


def rows(project: Project) -> dict[str, list[str]]:
    """Return the columns of each process in ``make status``, without starting the command."""
    printed = io.StringIO()
    status(Launch.read(project.root, project.environment), Console(file=printed))
    lines = printed.getvalue().splitlines()[1:]
    return {cells[0]: cells for line in lines if (cells := re.split(r"\s{2,}", line.strip()))}


def shows_the_end(project: Project, name: str, restarts: int) -> bool:
    """Return whether ``make status`` shows that the process ended, or its restart."""
    columns = rows(project)[name]
    return "running" not in columns[1:2] or int(columns[3]) > restarts


def all_run(project: Project) -> bool:
    running = {name for name, state in project.states().items() if state.is_running}
    return running == PROCESSES and project.is_well()


def test_all_processes_are_healthy_and_listen_only_on_loopback(
    airflow: Airflow, project: Project
) -> None:
    assert pids(project).keys() == PROCESSES
    eventually(lambda: all_run(project), "all are well")
    status = project.launcher("status", PORT="", DBT_CLOUD_PORT="")  # status finds the ports itself
    assert status.returncode == 0
    assert f"webhook 'Airflow' to http://127.0.0.1:{project.port}/webhooks/" in status.stdout
    assert f"dbt Cloud: the local one, https://localhost:{project.dbt_cloud_port}." in status.stdout
    health = airflow.call("GET", "/monitor/health")
    assert {part["status"] for part in health.values()} == {"healthy"}
    listening = set()
    for process in project.processes():
        with suppress(psutil.NoSuchProcess):  # short-lived parsing process
            sockets = process.net_connections()
            listening |= {each.laddr for each in sockets if each.status == psutil.CONN_LISTEN}
    assert {address.ip for address in listening} == {"127.0.0.1"}
    assert {project.port, project.dbt_cloud_port} <= {address.port for address in listening}


def test_killed_processes_restart_and_status_lists_the_restarts(
    airflow: Airflow, project: Project
) -> None:
    for kill in KILLS:
        before, restarts = pids(project), {n: s.restarts for n, s in project.states().items()}

        project.kill(kill)

        ended = partial(shows_the_end, project, kill, restarts[kill])
        eventually(ended, f"make status shows the end of {kill}")
        eventually(lambda: all_run(project), f"{kill} is back", RESTART_TIMEOUT, pause=2)
        after = rows(project)
        # Two restarts if it had also lost the database.
        assert int(after[kill][3]) > restarts[kill]
        assert pids(project)[kill] != before[kill]
        assert after["api-server"][4] == f"http://127.0.0.1:{project.port}"


def test_doctor_checks_the_running_airflow_and_dbt_cloud(
    airflow: Airflow, project: Project
) -> None:
    every = project.launcher("doctor", PORT="", DBT_CLOUD_PORT="").stdout
    one = project.launcher("doctor", "react_to_dbt_cloud_run", PORT="", DBT_CLOUD_PORT="").stdout

    host = f"localhost:{project.dbt_cloud_port}"
    assert every.startswith(
        "✗ dbt_cloud_default: run_missing_job.trigger_dbt_cloud_job_run: job 1 does not exist"
    )
    assert f"✓ dbt_cloud_default ({host}, account 16173)" in every
    assert f"✓ The connection dbt_cloud_default comes from Airflow's database: {host}" in one
    assert f"webhook 'Airflow' to http://127.0.0.1:{project.port}/webhooks/dbt-cloud" in one
    assert "✓ react_to_dbt_cloud_run.JOB_ID: job 48630 is 'Marketing build'" in one
    assert one.endswith("All checks passed.\n")


def test_second_start_changes_nothing(airflow: Airflow, project: Project) -> None:
    before = pids(project)

    second = project.launcher("start")

    assert second.returncode == 0
    assert "Airflow is running already." in second.stdout
    assert f"http://127.0.0.1:{project.port}\n" in second.stdout
    assert f"the local one, https://localhost:{project.dbt_cloud_port}.\n" in second.stdout
    assert pids(project) == before


def test_start_rejects_other_settings(airflow: Airflow, project: Project) -> None:
    other = project.launcher("start", SCHEDULERS="2")

    assert other.returncode == 1
    assert f"http://127.0.0.1:{project.port}, with other settings. Run make stop" in other.stderr


def test_start_recovers_from_killed_supervisord_and_requires_a_login(
    airflow: Airflow, project: Project
) -> None:
    before = pids(project)
    supervisors = [project.process(name).parent() for name in ("triggerer", "local-dbt-cloud")]
    for supervisor in supervisors:
        assert supervisor
        supervisor.kill()
    status = project.launcher("status")
    assert status.returncode == 1
    assert status.stdout.count("supervisord was killed: make start restarts it") == 2

    started = project.launcher("start", AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS="False")

    assert started.returncode == 0, started.stderr
    assert "Airflow requires a login" in started.stdout
    assert pids(project).keys() == PROCESSES
    assert not set(pids(project).values()) & set(before.values())
    assert {process.pid for process in project.processes()} >= set(pids(project).values())
    assert not any(psutil.pid_exists(pid) for pid in before.values())
    eventually(lambda: all_run(project), "all are well")


def test_stop_leaves_nothing_running(airflow: Airflow, project: Project) -> None:
    assert project.processes()

    first, second = project.launcher("stop"), project.launcher("stop")

    assert (first.returncode, pids(project), project.processes()) == (0, {}, [])
    assert "scheduler" in first.stdout
    assert second.stdout == "Nothing was running.\n"

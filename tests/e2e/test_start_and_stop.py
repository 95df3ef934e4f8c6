"""``make start`` when Airflow runs, in whole or in part, ``make status`` and ``make stop``.

The last file here by its name, since it ends the Airflow that the others share.
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
from tests.e2e.project import Project, eventually

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group(name="airflow-b")]

PROCESSES = COMPONENTS | {
    "log-server",
    "postgres",
    "local-dbt-cloud",
    "local-fivetran-and-census",
}
# Ten; whoever loses the database ends a little later, so it comes first.
KILLS = ["postgres", "scheduler", "postgres", *sorted(PROCESSES - {"postgres"})]
HEALING = 120.0  # seconds; 10 on an idle machine


def pids(project: Project) -> dict[str, int]:
    return {name: state.pid for name, state in project.states().items()}


def rows(project: Project) -> dict[str, list[str]]:
    """What ``make status`` prints, without a process for it: the columns of each process."""
    printed = io.StringIO()
    status(Launch.read(project.root, project.environment), Console(file=printed))
    lines = printed.getvalue().splitlines()[1:]
    return {cells[0]: cells for line in lines if (cells := re.split(r"\s{2,}", line.strip()))}


def tells_of_end(project: Project, name: str, restarts: int) -> bool:
    """That it is gone, or back again: supervisord takes a moment to see it."""
    said = rows(project)[name]
    return "running" not in said[1:2] or int(said[3]) > restarts


def all_run(project: Project) -> bool:
    living = {name for name, state in project.states().items() if state.lives}
    return living == PROCESSES and project.is_well()


def test_all_processes_are_healthy_and_listen_only_on_loopback(
    airflow: Airflow, project: Project
) -> None:
    assert pids(project).keys() == PROCESSES
    eventually(lambda: all_run(project), "all are well")
    status = project.launcher("status", PORT="", DBT_CLOUD_PORT="")  # it knows them
    assert status.returncode == 0
    assert f"webhook 'Airflow' to http://127.0.0.1:{project.port}/webhooks/" in status.stdout
    assert f"dbt Cloud: the local one, https://localhost:{project.dbt_cloud_port}." in status.stdout
    health = airflow.call("GET", "/monitor/health")
    assert {part["status"] for part in health.values()} == {"healthy"}
    listening = set()
    for process in project.processes():
        with suppress(psutil.NoSuchProcess):  # a file's parsing ends at any moment
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

        told = partial(tells_of_end, project, kill, restarts[kill])
        eventually(told, f"the end of {kill} is told")
        eventually(lambda: all_run(project), f"{kill} is back", HEALING, pause=2)
        after = rows(project)
        # Once more if it has also lost the database that was killed before it.
        assert int(after[kill][3]) > restarts[kill]
        assert pids(project)[kill] != before[kill]
        assert after["api-server"][4] == f"http://127.0.0.1:{project.port}"


def test_doctor_checks_the_running_airflow_and_dbt_cloud(
    airflow: Airflow, project: Project
) -> None:
    every = project.launcher("doctor", PORT="", DBT_CLOUD_PORT="").stdout
    one = project.launcher("doctor", "react_to_dbt_cloud_run", PORT="", DBT_CLOUD_PORT="").stdout

    host = f"localhost:{project.dbt_cloud_port}"
    assert every.startswith("✗ run_missing_job.trigger_dbt_cloud_job_run: there is no job 1")
    assert f"✓ dbt_cloud_default ({host}, account 16173)" in every
    assert f"✓ The connection dbt_cloud_default comes from Airflow's database: {host}" in one
    assert f"webhook 'Airflow' to http://127.0.0.1:{project.port}/webhooks/dbt-cloud" in one
    assert "✓ react_to_dbt_cloud_run.JOB_ID: job 48630 is 'Marketing build'" in one
    assert one.endswith("All is well.\n")


def test_a_second_start_changes_nothing(airflow: Airflow, project: Project) -> None:
    before = pids(project)

    second = project.launcher("start")

    assert second.returncode == 0
    assert "Airflow is running already." in second.stdout
    assert f"http://127.0.0.1:{project.port}\n" in second.stdout
    assert f"the local one, https://localhost:{project.dbt_cloud_port}.\n" in second.stdout
    assert pids(project) == before


def test_a_start_with_other_settings_is_refused(airflow: Airflow, project: Project) -> None:
    other = project.launcher("start", SCHEDULERS="2")

    assert other.returncode == 1
    assert f"http://127.0.0.1:{project.port}, with other settings: make stop" in other.stderr


def test_start_recovers_from_killed_supervisord_processes_without_a_login(
    airflow: Airflow, project: Project
) -> None:
    before = pids(project)
    watchers = [project.process(name).parent() for name in ("triggerer", "local-dbt-cloud")]
    for watcher in watchers:
        assert watcher
        watcher.kill()
    told = project.launcher("status")
    assert told.returncode == 1
    assert told.stdout.count("the watcher was killed: make start begins anew") == 2

    started = project.launcher("start", AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS="False")

    assert started.returncode == 0, started.stderr
    assert "Airflow asks for a login" in started.stdout
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

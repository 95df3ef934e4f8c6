"""``make start`` when Airflow runs, in whole or in part, and ``make stop``.

The last file here by its name, since it ends the Airflow that the others share.
"""

from __future__ import annotations

import json

import psutil

from include.local_airflow.server import COMPONENTS
from tests.e2e.airflow_client import Airflow
from tests.e2e.project import Project

LOCAL_SERVERS = {"local-dbt-cloud", "local-fivetran-and-census"}


def pids(project: Project) -> dict[str, int]:
    folder = project.root / ".airflow" / "pids"
    return {file.stem: json.loads(file.read_text())["pid"] for file in folder.glob("*.json")}


def test_all_that_runs_is_healthy_and_listens_to_this_machine_only(
    airflow: Airflow, project: Project
) -> None:
    assert pids(project).keys() == COMPONENTS.keys() | LOCAL_SERVERS
    health = airflow.call("GET", "/monitor/health")
    assert {part["status"] for part in health.values()} == {"healthy"}
    sockets = [socket for process in project.processes() for socket in process.net_connections()]
    listening = {socket.laddr for socket in sockets if socket.status == psutil.CONN_LISTEN}
    assert {address.ip for address in listening} == {"127.0.0.1"}
    assert {project.port, project.dbt_cloud_port} <= {address.port for address in listening}


def test_a_second_start_changes_nothing(airflow: Airflow, project: Project) -> None:
    before = pids(project)

    second = project.launcher("start")

    assert second.returncode == 0
    assert "Airflow is running already." in second.stdout
    assert f"http://127.0.0.1:{project.port}\n" in second.stdout
    assert pids(project) == before


def test_a_start_says_what_has_ended(airflow: Airflow, project: Project) -> None:
    psutil.Process(pids(project)["triggerer"]).kill()

    third = project.launcher("start")

    assert third.returncode == 1
    assert "its triggerer ended" in third.stderr


def test_stop_leaves_nothing_running(airflow: Airflow, project: Project) -> None:
    assert project.processes()

    first, second = project.launcher("stop"), project.launcher("stop")

    assert (first.returncode, pids(project), project.processes()) == (0, {}, [])
    assert "scheduler" in first.stdout
    assert second.stdout == "Nothing was running.\n"

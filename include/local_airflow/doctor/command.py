"""The command, which starts the checking process with Airflow's environment."""

from __future__ import annotations

import subprocess
import sys

from rich.console import Console

from include.local_airflow.settings.active_dbt_cloud import check_connections
from include.local_airflow.settings.environment import read_only_environment
from include.local_airflow.settings.launch import Launch
from include.local_airflow.settings.metadata_database import sqlite_database
from include.local_airflow.start.plan import airflow_supervisor, database_of


def doctor(launch: Launch, console: Console, dag_id: str = "") -> int:
    """Print the findings; return 0 only if there is no problem.

    A running Airflow's database is used for its connections. With a ``dag_id`` only that Dag is
    checked.

    Raises:
        LaunchError: a connection variable or the secrets backend is unusable.
    """
    check_connections(launch, console)
    supervisor = airflow_supervisor(launch)
    is_running = supervisor.is_running()
    database = database_of(launch) if is_running else sqlite_database(launch.home)
    command = [sys.executable, "-m", "include.local_airflow.doctor"]
    command += ["--airflow", supervisor.url("api-server")] if is_running else []
    command += ["--dag", dag_id] if dag_id else []
    with read_only_environment(launch, database) as environment:
        return subprocess.run(command, cwd=launch.root, env=environment).returncode

"""The command: starts the process that looks, where Airflow finds its settings when imported."""

from __future__ import annotations

import subprocess
import sys

from rich.console import Console

from include.local_airflow.settings.active_dbt_cloud import check_connections
from include.local_airflow.settings.launch import Launch
from include.local_airflow.settings.metadata_database import sqlite_database
from include.local_airflow.start.command import airflow_watcher, database_of


def doctor(launch: Launch, console: Console, dag_id: str = "") -> int:
    """Print what is well and what is not; return 0 only if all is.

    What `make start` has started is asked for the connections of its database. With a `dag_id`
    only that Dag is checked.

    Raises:
        LaunchError: Airflow could not use a connection variable or the secrets backend.
    """
    check_connections(launch, console)
    watcher = airflow_watcher(launch)
    is_running = watcher.lives()
    database = database_of(launch) if is_running else sqlite_database(launch.home)
    command = [sys.executable, "-m", "include.local_airflow.doctor"]
    command += ["--airflow", watcher.url("api-server")] if is_running else []
    command += ["--dag", dag_id] if dag_id else []
    with launch.environment_to_look(database) as environment:
        return subprocess.run(command, cwd=launch.root, env=environment).returncode

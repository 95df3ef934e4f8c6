"""The command: starts the process that looks, where Airflow finds its settings when imported."""

from __future__ import annotations

import subprocess
import sys

from rich.console import Console

from include.local_airflow.environment import Launch
from include.local_airflow.metadata_database import sqlite_database
from include.local_airflow.server import airflow_watcher, database_of

# What Airflow and its providers say while Dags are read would hide the findings.
QUIET = {"AIRFLOW__LOGGING__LOGGING_LEVEL": "CRITICAL"}

TRUSTED = ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")


def doctor(launch: Launch, _console: Console) -> int:
    """Print what is well and what is not; return 0 only if all is.

    What `make start` has started is asked for the connections of its database.
    """
    watcher = airflow_watcher(launch)
    is_running = watcher.lives()
    database = database_of(launch) if is_running else sqlite_database(launch.home)
    command = [sys.executable, "-m", "include.local_airflow.doctor"]
    command += [watcher.url("api-server")] if is_running else []
    environment = launch.environment(database) | QUIET
    if not (launch.data / "ca-bundle.pem").exists():  # no local server has run here yet
        others = {key: value for key, value in environment.items() if key not in TRUSTED}
        environment = others | {k: v for k, v in launch.variables.items() if k in TRUSTED}
    return subprocess.run(command, cwd=launch.root, env=environment).returncode

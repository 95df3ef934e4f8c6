"""Airflow's processes in ``make start``, with their ports and settings."""

from __future__ import annotations

import sys

from include.local_airflow.airflow.log_server import HOST
from include.local_airflow.settings.launch import Launch
from include.local_airflow.supervisor.configuration import Program

PYTHON = [sys.executable, "-m"]
AIRFLOW = [*PYTHON, "include.local_airflow.airflow.component"]
# Airflow's own log server listens on all interfaces; log-server binds only the loopback address.
NO_LOG_SERVER = "--skip-serve-logs"


def airflow_programs(launch: Launch) -> list[Program]:
    """Return Airflow's processes, with the configured number of each kind."""
    api_server = [*AIRFLOW, "api-server"]
    scheduler = [*AIRFLOW, "scheduler", NO_LOG_SERVER]
    programs = [
        Program("api-server", api_server, f"http://127.0.0.1:{launch.port}"),
        *_several("scheduler", scheduler, launch.count("SCHEDULERS")),
        Program("dag-processor", [*AIRFLOW, "dag-processor"]),
        *_several("triggerer", [*AIRFLOW, "triggerer", NO_LOG_SERVER], launch.count("TRIGGERERS")),
        Program("log-server", [*PYTHON, "include.local_airflow.airflow.log_server"]),
    ]
    if launch.executor == "CeleryExecutor":
        programs += [_worker(number) for number in range(1, launch.count("WORKERS") + 1)]
    return programs


def log_server_settings(port: int) -> dict[str, str]:
    """Return the settings by which the UI finds the log of a running task."""
    return {
        "AIRFLOW__CORE__HOSTNAME_CALLABLE": "include.local_airflow.airflow.log_server.hostname",
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(port),
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(port),
    }


def _several(name: str, command: list[str], count: int) -> list[Program]:
    """Return ``count`` programs of a kind; the first has no number in its name."""
    others = [Program(f"{name}-{number}", command) for number in range(2, count + 1)]
    return [Program(name, command), *others]


def _worker(number: int) -> Program:
    name = f"worker-{number}"
    command = [*AIRFLOW, "celery", "worker", NO_LOG_SERVER, "--celery-hostname", f"{name}@{HOST}"]
    return Program(name, [*command, "--pid", f".airflow/{name}.pid"])

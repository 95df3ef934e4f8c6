"""The local dbt Cloud as a background process."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

import requests

from include.local_airflow.environment import Launch
from include.local_airflow.errors import LaunchError
from include.local_airflow.processes import Background, require_free_port

NAME = "local-dbt-cloud"
PATIENCE = 60.0  # seconds until it has to answer


def ensure_local_dbt_cloud(launch: Launch, command: str, say: Callable[[str], None]) -> None:
    """Start the local dbt Cloud unless it answers already, and wait until it does.

    Raises:
        LaunchError: the port is taken, it runs on another port, or it ended while starting.
    """
    background = Background(NAME, launch.home)
    port = background.running_port()
    if port is not None and port != launch.dbt_cloud_port:
        raise LaunchError(
            f"The local dbt Cloud runs on port {port}: end it with make stop, or go on with "
            f"make {command} DBT_CLOUD_PORT={port}."
        )
    if port is None:
        if _answers(launch):
            return
        require_free_port(launch.dbt_cloud_port, "DBT_CLOUD_PORT", command)
        say(f"Starting the local dbt Cloud on {url(launch)} ...")
        _start(background, launch)
    _wait(background, launch)


def url(launch: Launch) -> str:
    """Return the address of the local dbt Cloud."""
    return f"https://localhost:{launch.dbt_cloud_port}"


def _start(background: Background, launch: Launch) -> None:
    arguments = ["--port", str(launch.dbt_cloud_port), "--data", str(launch.data)]
    environment = dict(launch.variables) | {"PYTHONUNBUFFERED": "1"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    background.start(
        [sys.executable, "-m", "include.local_dbt_cloud", *arguments],
        environment,
        launch.dbt_cloud_port,
    )


def _wait(background: Background, launch: Launch) -> None:
    deadline = time.monotonic() + PATIENCE
    while not _answers(launch):
        if not background.find() or time.monotonic() > deadline:
            raise LaunchError(
                "The local dbt Cloud did not start. The end of "
                f"{os.path.relpath(background.log, launch.root)}:\n{background.last_lines()}"
            )
        time.sleep(0.1)


def _answers(launch: Launch) -> bool:
    """True when the program on the port is ours: right certificate, right name."""
    authority = launch.data / "ca.pem"
    if not authority.exists():
        return False
    try:
        with requests.Session() as session:
            session.trust_env = False  # no proxy between this machine and itself
            response = session.get(f"{url(launch)}/health", verify=str(authority), timeout=5)
        return bool(response.json()["name"] == "local dbt Cloud")
    except (requests.RequestException, ValueError, KeyError, TypeError):
        return False

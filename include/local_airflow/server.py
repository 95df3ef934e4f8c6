"""`make start` and `make stop`: Airflow's four processes and the local servers."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator

from rich.console import Console
from rich.text import Text

from include.local_airflow.airflow_api import AirflowApi
from include.local_airflow.environment import Launch
from include.local_airflow.errors import LaunchError
from include.local_airflow.local_servers import ALL, wanted_servers
from include.local_airflow.processes import Background, require_free_port, stop_all
from include.local_airflow.settings import NAME, read_settings

DATABASE = "airflow.db"
PATIENCE = 120.0  # seconds until all components have to be healthy

# Four processes of our own, since `airflow standalone` goes on when one of them has died. The
# second Airflow on a machine could not bind the ports of the log servers; the UI reads the files.
COMPONENTS = {
    "api-server": ["airflow", "api-server"],
    "scheduler": ["airflow", "scheduler", "--skip-serve-logs"],
    "dag-processor": ["airflow", "dag-processor"],
    "triggerer": ["airflow", "triggerer", "--skip-serve-logs"],
}


def start(launch: Launch, console: Console) -> int:
    """Start what does not run yet, wait until everything answers, print the URLs.

    Raises:
        LaunchError: a port is taken, a setting is wrong, or a process ended while starting.
    """
    components = _components(launch)
    if any(component.find() for component in components):
        return _already_running(launch, components, console)
    read_settings(launch.root / NAME)  # a mistake in the file is told before anything starts
    require_free_port(launch.port, "PORT", "start")
    _ensure_servers(launch, console)
    environment = launch.environment(DATABASE)
    console.print("Preparing Airflow's metadata database ...")
    _prepare_database(launch, environment)
    console.print("Starting Airflow ...")
    for component in components:
        component.start(_command(component.name), environment, launch.port)
    try:
        _wait_until_ready(launch, components, console)
    except BaseException:
        stop_all(components)
        raise
    _print_urls(launch, launch.port, console)
    return 0


def stop(launch: Launch, console: Console) -> int:
    """End everything that `start` and `run` left running."""
    names = stop_all([*_components(launch), *(each.background(launch) for each in ALL)])
    console.print(f"Stopped {', '.join(names)}." if names else "Nothing was running.")
    return 0


def _ensure_servers(launch: Launch, console: Console) -> None:
    for server in wanted_servers(launch):
        server.ensure(launch, "start", console.print)


def _components(launch: Launch) -> list[Background]:
    return [Background(name, launch.home) for name in COMPONENTS]


def _command(name: str) -> list[str]:
    module, *arguments = COMPONENTS[name]
    return [sys.executable, "-m", module, *arguments]


def _already_running(launch: Launch, components: list[Background], console: Console) -> int:
    dead = [component.name for component in components if not component.find()]
    if dead:
        raise LaunchError(
            f"Airflow runs only in part, its {' and '.join(dead)} ended: read .airflow/logs/"
            f"{dead[0]}.log, then make stop and make start."
        )
    _ensure_servers(launch, console)
    console.print("Airflow is running already.")
    _print_urls(launch, components[0].running_port() or launch.port, console)
    return 0


def _prepare_database(launch: Launch, environment: dict[str, str]) -> None:
    log = launch.home / "logs" / "database.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "include.local_airflow.database"]
    with log.open("w") as output:
        code = subprocess.call(
            command, cwd=launch.root, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
    if code:
        last = log.read_text().strip().splitlines()[-1:]
        raise LaunchError(
            f"The metadata database could not be prepared ({''.join(last)}): read "
            f"{os.path.relpath(log, launch.root)}."
        )


def _wait_until_ready(launch: Launch, components: list[Background], console: Console) -> None:
    """Print each component as it comes up, until all are healthy and the Dags are listed."""
    deadline = time.monotonic() + PATIENCE
    healthy: set[str] = set()
    for now_healthy, parsed in _states(AirflowApi(launch.port), launch):
        for component in components:
            if not component.find():
                raise LaunchError(
                    f"Airflow's {component.name} ended while it started. The end of "
                    f"{os.path.relpath(component.log, launch.root)}:\n{component.last_lines()}"
                )
        for name in sorted(now_healthy - healthy):
            console.print(f"  {name} is up")
        healthy |= now_healthy
        if parsed and len(now_healthy) == len(components):
            return
        if time.monotonic() > deadline:
            missing = ", ".join(set(COMPONENTS) - now_healthy) or "the list of Dags"
            raise LaunchError(
                f"Airflow was not ready after {PATIENCE:.0f} s, what is missing is {missing}: "
                "read the logs in .airflow/logs and start again."
            )


def _states(api: AirflowApi, launch: Launch) -> Iterator[tuple[set[str], bool]]:
    """Yield, twice a second, which components are healthy and whether the Dags are there."""
    while True:
        healthy = api.healthy_components()
        all_up = len(healthy) == len(COMPONENTS)
        yield healthy, all_up and api.has_parsed(launch.dags_folder)
        time.sleep(0.5)


def _print_urls(launch: Launch, port: int, console: Console) -> None:
    for file, reason in AirflowApi(port).import_errors().items():
        console.print(Text(f"Warning: {file} cannot be imported ({reason}).", style="yellow"))
    console.print(f"Airflow: http://127.0.0.1:{port}")
    for server in wanted_servers(launch):
        console.print(f"The {server.name}: {server.url(launch)}")
    console.print("Logs are in .airflow/logs. make stop ends everything.")

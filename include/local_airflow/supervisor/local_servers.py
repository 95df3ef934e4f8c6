"""The local stand-ins of cloud services, as background processes under a watcher of their own."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

import requests

from include.local_airflow.errors import LaunchError
from include.local_airflow.settings.launch import Launch
from include.local_airflow.supervisor.client import Watcher, last_lines
from include.local_airflow.supervisor.configuration import Program
from include.local_airflow.supervisor.locks_and_ports import in_turn, require_free_port

PATIENCE = 60.0  # seconds until a server has to answer


@dataclass(frozen=True)
class LocalServer:
    """One server: the name that its /health answers, its module and the variable of its port."""

    name: str
    module: str
    variable: str
    port_of: Callable[[Launch], int]

    @property
    def program_name(self) -> str:
        """The name of its process."""
        return self.name.replace(" ", "-").lower()

    def url(self, launch: Launch) -> str:
        """Return the server's address."""
        return f"https://localhost:{self.port_of(launch)}"

    def program(self, launch: Launch) -> Program:
        """Return the server's process."""
        arguments = ["--port", str(self.port_of(launch)), "--data", str(launch.data)]
        command = [sys.executable, "-m", self.module, *arguments]
        return Program(self.program_name, command, self.url(launch))

    def start(self, launch: Launch, command: str, say: Callable[[str], None]) -> None:
        """Start the server unless it runs already.

        Raises:
            LaunchError: the port is taken, or it runs on another port.
        """
        launch.home.mkdir(exist_ok=True)
        with in_turn(launch.home / "servers.lock"):  # of a make run and a make start
            self._start(launch, command, say)

    def _start(self, launch: Launch, command: str, say: Callable[[str], None]) -> None:
        watcher = servers_watcher(launch)
        if watcher.left_behind():
            watcher.end()
        state = watcher.states().get(self.program_name)
        if state and (url := watcher.url(self.program_name)) != self.url(launch):
            raise LaunchError(
                f"The {self.name} keeps port {urlsplit(url).port} until make stop: run that, or go "
                f"on with make {command} {self.variable}={urlsplit(url).port}."
            )
        if (state and state.lives) or self.answers(launch):
            return
        require_free_port(self.port_of(launch), self.variable, command)
        say(f"Starting the {self.name} on {self.url(launch)} ...")
        if not state:
            environment = launch.variables | {"PYTHONUNBUFFERED": "1"}
            watcher.begin([each.program(launch) for each in ALL], environment)
        watcher.start(self.program_name)

    def wait(self, launch: Launch) -> None:
        """Wait until the server answers.

        Raises:
            LaunchError: it ended while starting.
        """
        watcher, deadline = servers_watcher(launch), time.monotonic() + PATIENCE
        while not self.answers(launch):
            state = watcher.states().get(self.program_name)
            if not state or state.died or time.monotonic() > deadline:
                log = watcher.log(self.program_name)
                watcher.stop(self.program_name)
                raise LaunchError(
                    f"The {self.name} did not start. The end of "
                    f"{os.path.relpath(log, launch.root)}:\n{last_lines(log)}"
                )
            time.sleep(0.1)

    def answers(self, launch: Launch, url: str = "") -> bool:
        """True when the program at the address is ours: right certificate, right name."""
        authority = launch.data / "ca.pem"
        if not authority.exists():
            return False
        try:
            with requests.Session() as session:
                session.trust_env = False  # no proxy between this machine and itself
                address = f"{url or self.url(launch)}/health"
                response = session.get(address, verify=str(authority), timeout=5)
            return bool(response.json()["name"] == self.name)
        except (requests.RequestException, ValueError, KeyError, TypeError):
            return False


DBT_CLOUD = LocalServer(
    "local dbt Cloud", "include.local_dbt_cloud", "DBT_CLOUD_PORT", lambda o: o.dbt_cloud_port
)
FIVETRAN_CENSUS = LocalServer(
    "local Fivetran and Census",
    "include.local_fivetran_census",
    "FIVETRAN_CENSUS_PORT",
    lambda o: o.fivetran_census_port,
)
ALL = (DBT_CLOUD, FIVETRAN_CENSUS)
FIVETRAN_CENSUS_DAG = "fivetran_dbt_cloud_census"


def servers_watcher(launch: Launch) -> Watcher:
    """Return what watches the local servers, of `make run` and of `make start`."""
    return Watcher("servers", launch.root, launch.home)


def wanted_servers(launch: Launch, dag_id: str | None = None) -> list[LocalServer]:
    """Return what the Dag needs, or all Dags if none is named; nothing that is real needs one."""
    wanted = [DBT_CLOUD] if launch.uses_local_dbt_cloud else []
    if launch.uses_local_fivetran_census and dag_id in (None, FIVETRAN_CENSUS_DAG):
        wanted.append(FIVETRAN_CENSUS)
    return wanted

"""The local stand-ins for cloud services, background processes under their own supervisor."""

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
from include.local_airflow.supervisor.client import Supervisor, last_lines
from include.local_airflow.supervisor.configuration import Program
from include.local_airflow.supervisor.locks_and_ports import exclusive_lock, require_free_port

SERVER_TIMEOUT = 60.0  # seconds until a server has to respond


@dataclass(frozen=True)
class LocalServer:
    """One server: the name that ``/health`` returns, its module, and the variable of its port."""

    name: str
    module: str
    variable: str
    port_of: Callable[[Launch], int]

    @property
    def program_name(self) -> str:
        """The process name."""
        return self.name.replace(" ", "-").lower()

    def url(self, launch: Launch) -> str:
        """Return the server's address."""
        return f"https://localhost:{self.port_of(launch)}"

    def program(self, launch: Launch) -> Program:
        """Return the server's process."""
        arguments = ["--port", str(self.port_of(launch)), "--data", str(launch.data)]
        command = [sys.executable, "-m", self.module, *arguments]
        return Program(self.program_name, command, self.url(launch))

    def start(self, launch: Launch, command: str, print_line: Callable[[str], None]) -> None:
        """Start the server unless it is running.

        Raises:
            LaunchError: the port is in use, or the server runs on another port.
        """
        with exclusive_lock(launch.home / "servers.lock"):  # make run and make start may overlap
            self._start(launch, command, print_line)

    def _start(self, launch: Launch, command: str, print_line: Callable[[str], None]) -> None:
        supervisor = servers_supervisor(launch)
        if supervisor.has_orphans():
            supervisor.shut_down()
        state = supervisor.states().get(self.program_name)
        if state and (url := supervisor.url(self.program_name)) != self.url(launch):
            raise LaunchError(
                f"The {self.name} is already running on port {urlsplit(url).port}: run make stop, "
                f"or use that port with make {command} {self.variable}={urlsplit(url).port}."
            )
        if (state and state.is_running) or self.responds(launch):
            return
        require_free_port(self.port_of(launch), self.variable, command)
        print_line(f"Starting the {self.name} on {self.url(launch)} ...")
        if not state:
            page = f"http://localhost:{launch.port}/plugin/dbt-cloud/dbt-cloud-page"
            defaults = {"LOCAL_DBT_CLOUD_AIRFLOW_PAGE": page}
            environment = defaults | launch.variables | {"PYTHONUNBUFFERED": "1"}
            supervisor.launch([each.program(launch) for each in SERVERS], environment)
        supervisor.start(self.program_name)

    def wait(self, launch: Launch) -> None:
        """Wait until the server responds.

        Raises:
            LaunchError: the server ended while starting, or did not respond in time.
        """
        supervisor, deadline = servers_supervisor(launch), time.monotonic() + SERVER_TIMEOUT
        while not self.responds(launch):
            state = supervisor.states().get(self.program_name)
            if not state or state.crashed or time.monotonic() > deadline:
                log = supervisor.log(self.program_name)
                supervisor.stop(self.program_name)
                raise LaunchError(
                    f"The {self.name} did not start. The end of "
                    f"{os.path.relpath(log, launch.root)}:\n{last_lines(log)}"
                )
            time.sleep(0.1)

    def responds(self, launch: Launch, url: str = "") -> bool:
        """Return whether this server responds at the address, by its certificate and name."""
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


DBT_CLOUD_SERVER = LocalServer(
    "local dbt Cloud", "include.local_dbt_cloud", "DBT_CLOUD_PORT", lambda o: o.dbt_cloud_port
)
FIVETRAN_CENSUS_SERVER = LocalServer(
    "local Fivetran and Census",
    "include.local_fivetran_census",
    "FIVETRAN_CENSUS_PORT",
    lambda o: o.fivetran_census_port,
)
SERVERS = (DBT_CLOUD_SERVER, FIVETRAN_CENSUS_SERVER)
FIVETRAN_CENSUS_DAG = "fivetran_dbt_cloud_census"


def servers_supervisor(launch: Launch) -> Supervisor:
    """Return the supervisor of the local servers, shared by ``make run`` and ``make start``."""
    return Supervisor("servers", launch.root, launch.home)


def wanted_servers(launch: Launch, dag_id: str | None = None) -> list[LocalServer]:
    """Return the local servers that the Dag needs, or all Dags if ``dag_id`` is ``None``."""
    servers = [DBT_CLOUD_SERVER] if launch.uses_local_dbt_cloud else []
    if launch.uses_local_fivetran_census and dag_id in (None, FIVETRAN_CENSUS_DAG):
        servers.append(FIVETRAN_CENSUS_SERVER)
    return servers

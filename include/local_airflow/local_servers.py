"""The local stand-ins of cloud services, as background processes."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import requests

from include.local_airflow.environment import Launch
from include.local_airflow.errors import LaunchError
from include.local_airflow.processes import Background, require_free_port

PATIENCE = 60.0  # seconds until a server has to answer


@dataclass(frozen=True)
class LocalServer:
    """One server: the name that its /health answers, its module and the variable of its port."""

    name: str
    module: str
    variable: str
    port_of: Callable[[Launch], int]

    def url(self, launch: Launch) -> str:
        """Return the server's address."""
        return f"https://localhost:{self.port_of(launch)}"

    def background(self, launch: Launch) -> Background:
        """Return the server's process, whether it runs or not."""
        return Background(self.name.replace(" ", "-").lower(), launch.home)

    def ensure(self, launch: Launch, command: str, say: Callable[[str], None]) -> None:
        """Start the server unless it answers already, and wait until it does.

        Raises:
            LaunchError: the port is taken, it runs on another port, or it ended while starting.
        """
        background = self.background(launch)
        port, wanted = background.running_port(), self.port_of(launch)
        if port is not None and port != wanted:
            raise LaunchError(
                f"The {self.name} runs on port {port}: end it with make stop, or go on with "
                f"make {command} {self.variable}={port}."
            )
        if port is None:
            if self._answers(launch):
                return
            require_free_port(wanted, self.variable, command)
            say(f"Starting the {self.name} on {self.url(launch)} ...")
            self._start(background, launch)
        self._wait(background, launch)

    def _start(self, background: Background, launch: Launch) -> None:
        port = self.port_of(launch)
        arguments = ["--port", str(port), "--data", str(launch.data)]
        environment = dict(launch.variables) | {"PYTHONUNBUFFERED": "1"}
        background.start([sys.executable, "-m", self.module, *arguments], environment, port)

    def _wait(self, background: Background, launch: Launch) -> None:
        deadline = time.monotonic() + PATIENCE
        while not self._answers(launch):
            if not background.find() or time.monotonic() > deadline:
                raise LaunchError(
                    f"The {self.name} did not start. The end of "
                    f"{os.path.relpath(background.log, launch.root)}:\n{background.last_lines()}"
                )
            time.sleep(0.1)

    def _answers(self, launch: Launch) -> bool:
        """True when the program on the port is ours: right certificate, right name."""
        authority = launch.data / "ca.pem"
        if not authority.exists():
            return False
        try:
            with requests.Session() as session:
                session.trust_env = False  # no proxy between this machine and itself
                response = session.get(
                    f"{self.url(launch)}/health", verify=str(authority), timeout=5
                )
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


def wanted_servers(launch: Launch, dag_id: str | None = None) -> list[LocalServer]:
    """Return what the Dag needs, or all Dags if none is named; nothing that is real needs one."""
    wanted = [DBT_CLOUD] if launch.uses_local_dbt_cloud else []
    if launch.uses_local_fivetran_census and dag_id in (None, FIVETRAN_CENSUS_DAG):
        wanted.append(FIVETRAN_CENSUS)
    return wanted

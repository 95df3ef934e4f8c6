"""What ``make start`` starts."""

from __future__ import annotations

from dataclasses import dataclass

from include.local_airflow.airflow.rest_api import AirflowApi
from include.local_airflow.settings.active_dbt_cloud import BACKEND
from include.local_airflow.settings.connection_variable import PREFIX
from include.local_airflow.settings.environment import airflow_environment
from include.local_airflow.settings.launch import Launch
from include.local_airflow.settings.metadata_database import MetadataDatabase, given_database
from include.local_airflow.start import postgres
from include.local_airflow.start.celery import broker_settings
from include.local_airflow.start.programs import airflow_programs, log_server_settings
from include.local_airflow.supervisor.client import Supervisor
from include.local_airflow.supervisor.configuration import Program
from include.local_airflow.supervisor.local_servers import LocalServer, wanted_servers


@dataclass(frozen=True)
class StartPlan:
    """Programs, local servers and database, derived from the user's choices alone.

    Making a plan starts nothing and writes nothing.
    """

    launch: Launch
    database: MetadataDatabase
    programs: tuple[Program, ...]
    servers: tuple[LocalServer, ...]
    broker: dict[str, str]
    """Airflow's settings for Celery; empty for another executor."""

    @classmethod
    def of(cls, launch: Launch) -> StartPlan:
        """Derive the plan.

        Raises:
            LaunchError: a setting is wrong.
        """
        database = [] if launch.database_url else [postgres.program(launch.home)]
        return cls(
            launch,
            database_of(launch),
            (*database, *airflow_programs(launch)),
            tuple(wanted_servers(launch)),
            broker_settings(launch),
        )

    @property
    def embeds_database(self) -> bool:
        """Return whether the database is that of this checkout."""
        return not self.launch.database_url

    @property
    def api(self) -> AirflowApi:
        """Return Airflow's REST API."""
        return AirflowApi(self.launch.port)

    def environment(self, log_port: int) -> dict[str, str]:
        """Return the environment of Airflow's programs, whose logs are served on ``log_port``."""
        log_server = log_server_settings(log_port)
        return log_server | airflow_environment(self.launch, self.database) | self.broker


def database_of(launch: Launch) -> MetadataDatabase:
    """Return the database of ``make start``."""
    url = launch.database_url
    return given_database(url) if url else postgres.database(launch.home)


def airflow_supervisor(launch: Launch) -> Supervisor:
    """Return what supervises Airflow and its database."""
    return Supervisor("airflow", launch.root, launch.home)


def has_connections_of(launch: Launch, supervisor: Supervisor) -> bool:
    """Return whether Airflow runs with the connections and the secrets backend that are set now."""
    then, now = supervisor.environment(), launch.variables
    names = {name for name in {*then, *now} if name.startswith((PREFIX, BACKEND))}
    return all(then.get(name) == now.get(name) for name in names)

"""The source of a connection: a secrets backend, the environment, or Airflow's database."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from include.dbt_cloud.api.advice import no_connection
from include.local_airflow.airflow.models import Connection, ensure_secrets_loaded
from include.local_airflow.airflow.prepare_database import connection_fields
from include.local_airflow.airflow.secrets_backend import look_up
from include.local_airflow.doctor import Finding, UnusableConnection
from include.local_airflow.settings.active_dbt_cloud import is_local
from include.local_airflow.settings.airflow_settings import NAME, AirflowSettings
from include.local_airflow.settings.connection_variable import UnusableConnectionError
from include.local_airflow.settings.launch import Launch

DATABASE = "MetastoreBackend"


@dataclass(frozen=True)
class ResolvedConnection:
    """A connection and its source."""

    connection: Any
    source: str


def find_connection(
    conn_id: str, launch: Launch, settings: AirflowSettings, is_running: bool
) -> ResolvedConnection | Finding:
    """Resolve a connection in Airflow's order, then from the settings of the next ``make run``."""
    for backend in ensure_secrets_loaded():
        name = type(backend).__name__
        if name == DATABASE and not (is_running or (launch.home / "run.db").exists()):
            continue
        try:
            connection = look_up(backend, conn_id)
        except UnusableConnectionError as error:
            text = f"The connection {conn_id} comes from {_source(name, conn_id)}"
            return UnusableConnection(f"{text}, and cannot be used.", str(error))
        if not connection:
            continue
        is_default = name == DATABASE and is_local(connection.host, connection.login)
        if is_running or not is_default:
            return ResolvedConnection(connection, _source(name, conn_id))
    for configured in settings.connections:
        if configured.conn_id != conn_id:
            continue
        if is_running:
            return Finding(
                f"The running Airflow has no connection {conn_id}.",
                f"Run make stop and make start to create it from {NAME}, or create it in the UI.",
            )
        fields = connection_fields(configured, launch)
        return ResolvedConnection(Connection(conn_id=conn_id, **fields), NAME)
    return Finding(f"Connection {conn_id} is not defined.", no_connection(conn_id))


def _source(backend: str, conn_id: str) -> str:
    if backend == DATABASE:
        return "Airflow's database"
    if backend == "EnvironmentVariablesBackend":
        return f"AIRFLOW_CONN_{conn_id.upper()}"
    return backend

"""Where Airflow has a connection from: a secrets backend, the environment, its database."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from include.dbt_cloud.api.advice import no_connection
from include.local_airflow.airflow.internals import Connection, ensure_secrets_loaded
from include.local_airflow.airflow.prepare_database import connection_fields
from include.local_airflow.airflow.secrets_backend import look_up
from include.local_airflow.doctor import Finding, UnusableConnection
from include.local_airflow.settings.active_dbt_cloud import leads_here
from include.local_airflow.settings.airflow_settings import NAME, AirflowSettings
from include.local_airflow.settings.connection_variable import UnusableConnectionError
from include.local_airflow.settings.launch import Launch

DATABASE = "MetastoreBackend"


@dataclass(frozen=True)
class Found:
    """A connection, and who says so."""

    connection: Any
    source: str


def find_connection(
    conn_id: str, launch: Launch, settings: AirflowSettings, is_running: bool
) -> Found | Finding:
    """Look in Airflow's own order, and then where the next `make run` would take it from."""
    for backend in ensure_secrets_loaded():
        name = type(backend).__name__
        if name == DATABASE and not (is_running or (launch.home / "run.db").exists()):
            continue
        try:
            connection = look_up(backend, conn_id)
        except UnusableConnectionError as error:
            told = f"The connection {conn_id} comes from {_source(name, conn_id)}"
            return UnusableConnection(f"{told}, and cannot be used.", str(error))
        if not connection:
            continue
        is_local = name == DATABASE and leads_here(connection.host, connection.login)
        if is_running or not is_local:
            return Found(connection, _source(name, conn_id))
    for wanted in settings.connections:
        if wanted.conn_id != conn_id:
            continue
        if is_running:
            return Finding(
                f"The Airflow that runs has no connection {conn_id}.",
                f"make stop, then make start takes that of {NAME}; or enter yours in the UI.",
            )
        return Found(Connection(conn_id=conn_id, **connection_fields(wanted, launch)), NAME)
    return Finding(f"The connection {conn_id} is nowhere.", no_connection(conn_id))


def _source(backend: str, conn_id: str) -> str:
    if backend == DATABASE:
        return "Airflow's database"
    if backend == "EnvironmentVariablesBackend":
        return f"AIRFLOW_CONN_{conn_id.upper()}"
    return backend

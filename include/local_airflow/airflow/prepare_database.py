"""Migrate the metadata database when Airflow's version changes, and apply the settings to it.

It imports Airflow, so run it in a separate process:
``python -m include.local_airflow.airflow.prepare_database``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from airflow import __version__ as airflow_version
from airflow.models.connection import Connection
from airflow.models.pool import Pool
from airflow.models.variable import Variable
from airflow.utils.session import create_session
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from include.local_airflow.errors import LaunchError
from include.local_airflow.settings.active_dbt_cloud import is_local
from include.local_airflow.settings.airflow_settings import (
    NAME,
    AirflowSettings,
    ConnectionSettings,
    read_settings,
)
from include.local_airflow.settings.launch import DATA, Launch
from include.local_dbt_cloud.serving.connections import CENSUS, DBT_CLOUD, FIVETRAN

LOCAL_WAREHOUSE = f"{DATA}/warehouse.duckdb"
"""As in ``airflow_settings.yaml``. dbt Core has another working folder and needs the full path."""

LOCAL_HOSTS = (DBT_CLOUD.host, FIVETRAN.host, CENSUS.host, LOCAL_WAREHOUSE)


def prepare_database(launch: Launch, mark: Path | None) -> AirflowSettings:
    """Migrate the configured database if necessary and apply ``airflow_settings.yaml`` to it."""
    migrate(mark)
    settings = read_settings(launch.root / NAME)
    apply_settings(settings, launch)
    return settings


def migrate(mark: Path | None) -> None:
    """Migrate the database to this Airflow's schema.

    Args:
        mark: the file with the version of the last migration; ``None`` if there is no record.
    """
    from airflow.utils.db import upgradedb  # here, since it takes long to import

    data = mark and mark.with_suffix("")
    if mark and data and data.exists() and mark.exists() and mark.read_text() == airflow_version:
        return
    upgradedb()
    if mark:
        mark.write_text(airflow_version)


def apply_settings(settings: AirflowSettings, launch: Launch) -> None:
    """Create or overwrite pools, variables and connections, as ``astro dev start`` does.

    A local server's connection is not overwritten if the user has entered a real account.
    """
    for pool in settings.pools:
        Pool.create_or_update_pool(
            pool.pool_name,
            pool.pool_slot,
            pool.pool_description,
            include_deferred=pool.pool_include_deferred,
        )
    for variable in settings.variables:
        Variable.set(variable.variable_name, variable.variable_value)
    with create_session() as session:
        for configured in settings.connections:
            found = _stored(session, configured.conn_id)
            is_own = found and not is_local(found.host, found.login)
            if is_own and configured.conn_host in LOCAL_HOSTS:
                continue
            session.execute(delete(Connection).where(Connection.conn_id == configured.conn_id))
            fields = connection_fields(configured, launch)
            session.add(Connection(conn_id=configured.conn_id, **fields))


def _stored(session: Session, conn_id: str) -> Connection | None:
    found: Connection | None = session.scalar(
        select(Connection).where(Connection.conn_id == conn_id)
    )
    return found


def export_connections(settings: AirflowSettings) -> None:
    """Export the stored connections to this process's environment; the user's variables win.

    ``dag.test()`` runs the triggers of deferred tasks in this process, where Airflow 3.3 reads
    connections from the environment only.
    """
    with create_session() as session:
        for each in settings.connections:
            if stored := _stored(session, each.conn_id):
                os.environ.setdefault(f"AIRFLOW_CONN_{each.conn_id.upper()}", stored.as_json())


@contextmanager
def exported_variables(settings: AirflowSettings) -> Iterator[None]:
    """Export the Variables to this process's environment while Dag files are parsed.

    Outside its Dag processor, Airflow 3.3 reads no other Variables during parsing. In a task they
    would hide the result of ``Variable.set``. The user's variables win.
    """
    names = {f"AIRFLOW_VAR_{e.variable_name.upper()}": e.variable_value for e in settings.variables}
    added = {name: value for name, value in names.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]


def connection_fields(configured: ConnectionSettings, launch: Launch) -> dict[str, Any]:
    """Return the connection's Airflow fields, with the port and token of this launch."""
    others = configured.model_dump(exclude={"conn_id", "conn_uri"}, exclude_defaults=True)
    if configured.conn_uri and not others:
        return {"uri": configured.conn_uri}
    host, password = configured.conn_host, configured.conn_password
    if host == DBT_CLOUD.host:  # DBT_CLOUD_PORT and LOCAL_DBT_CLOUD_TOKEN override it
        host = f"localhost:{launch.dbt_cloud_port}"
        password = launch.variables.get("LOCAL_DBT_CLOUD_TOKEN", password)
    if host in (FIVETRAN.host, CENSUS.host):  # FIVETRAN_CENSUS_PORT overrides it
        host = f"localhost:{launch.fivetran_census_port}"
    if host == LOCAL_WAREHOUSE:
        host = str(launch.data / "warehouse.duckdb")
    fields = {
        "conn_type": configured.conn_type,
        "host": host,
        "schema": configured.conn_schema,
        "login": configured.conn_login,
        "password": password,
        "port": configured.conn_port,
        "extra": configured.extra,
    }
    # The UI sends 0 for no port. Airflow 3.3 tests a stored connection only with the stored port.
    return {name: value for name, value in fields.items() if value or name == "port"}


def main(mark: str = "") -> int:
    """Prepare the configured database; return the exit code."""
    from include.local_airflow.airflow.retention import remove_old  # not for make run

    try:
        launch = Launch.read()
        prepare_database(launch, Path(mark) if mark else None)
        if mark:  # the database of this checkout
            remove_old(launch.home)
    except LaunchError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    is_ready = sys.stdin.readline()  # the server starts while Airflow is imported
    sys.exit(main(*sys.argv[1:]) if is_ready else 1)

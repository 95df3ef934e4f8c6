"""The metadata database: migrated when Airflow's version changes, filled from the settings.

Imports Airflow, so it belongs in a process of its own:
`python -m include.local_airflow.airflow.prepare_database`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from include.local_airflow.airflow.internals import Connection, Pool, Variable, create_session
from include.local_airflow.airflow.internals import __version__ as airflow_version
from include.local_airflow.errors import LaunchError
from include.local_airflow.settings.active_dbt_cloud import leads_here
from include.local_airflow.settings.airflow_settings import (
    NAME,
    AirflowSettings,
    ConnectionSettings,
    read_settings,
)
from include.local_airflow.settings.launch import Launch
from include.local_servers import data_folder
from include.local_servers.connections import CENSUS, DBT_CLOUD, FIVETRAN

LOCAL_WAREHOUSE = f"{data_folder.DEFAULT}/warehouse.duckdb"
"""What `airflow_settings.yaml` says; dbt Core, which runs elsewhere, needs the whole path."""

LOCAL_HOSTS = (DBT_CLOUD.host, FIVETRAN.host, CENSUS.host, LOCAL_WAREHOUSE)


def prepare_database(launch: Launch, mark: Path | None) -> AirflowSettings:
    """Migrate the configured database if need be and apply `airflow_settings.yaml` to it."""
    migrate(mark)
    settings = read_settings(launch.root / NAME)
    apply_settings(settings, launch)
    return settings


def migrate(mark: Path | None) -> None:
    """Bring the database to this Airflow's schema.

    Args:
        mark: the file beside the data that says which Airflow has done so; None if nobody knows.
    """
    from include.local_airflow.airflow.internals import upgradedb

    data = mark and mark.with_suffix("")
    if mark and data and data.exists() and mark.exists() and mark.read_text() == airflow_version:
        return
    upgradedb()
    if mark:
        mark.write_text(airflow_version)


def apply_settings(settings: AirflowSettings, launch: Launch) -> None:
    """Create or overwrite pools, variables and connections, as `astro dev start` does.

    A connection of a local server stays as it is where somebody has entered a real account.
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
        for wanted in settings.connections:
            found = _stored(session, wanted.conn_id)
            is_own = found and not leads_here(found.host, found.login)
            if is_own and wanted.conn_host in LOCAL_HOSTS:
                continue
            session.execute(delete(Connection).where(Connection.conn_id == wanted.conn_id))
            fields = connection_fields(wanted, launch)
            session.add(Connection(conn_id=wanted.conn_id, **fields))


def _stored(session: Session, conn_id: str) -> Connection | None:
    found: Connection | None = session.scalar(
        select(Connection).where(Connection.conn_id == conn_id)
    )
    return found


def export_connections(settings: AirflowSettings) -> None:
    """Put the connections, as they are now, into this process's environment, unless the user did.

    `dag.test()` runs a deferred task's trigger in line, and there Airflow 3.3 finds a connection
    in the environment only.
    """
    with create_session() as session:
        for wanted in settings.connections:
            if stored := _stored(session, wanted.conn_id):
                os.environ.setdefault(f"AIRFLOW_CONN_{wanted.conn_id.upper()}", stored.as_json())


@contextmanager
def exported_variables(settings: AirflowSettings) -> Iterator[None]:
    """Put the Variables into this process's environment, unless the user did, and take them out.

    Airflow 3.3 finds no other while a file is parsed outside its Dag processor. In a task they
    would hide what a `Variable.set` has written.
    """
    names = {f"AIRFLOW_VAR_{e.variable_name.upper()}": e.variable_value for e in settings.variables}
    added = {name: value for name, value in names.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]


def connection_fields(wanted: ConnectionSettings, launch: Launch) -> dict[str, Any]:
    """Return the connection as Airflow's fields, at the port and with the token of this launch."""
    others = wanted.model_dump(exclude={"conn_id", "conn_uri"}, exclude_defaults=True)
    if wanted.conn_uri and not others:
        return {"uri": wanted.conn_uri}
    host, password = wanted.conn_host, wanted.conn_password
    if host == DBT_CLOUD.host:  # DBT_CLOUD_PORT and LOCAL_DBT_CLOUD_TOKEN may say otherwise
        host = f"localhost:{launch.dbt_cloud_port}"
        password = launch.variables.get("LOCAL_DBT_CLOUD_TOKEN", password)
    if host in (FIVETRAN.host, CENSUS.host):  # FIVETRAN_CENSUS_PORT may say otherwise
        host = f"localhost:{launch.fivetran_census_port}"
    if host == LOCAL_WAREHOUSE:
        host = str(launch.data / "warehouse.duckdb")
    fields = {
        "conn_type": wanted.conn_type,
        "host": host,
        "schema": wanted.conn_schema,
        "login": wanted.conn_login,
        "password": password,
        "port": wanted.conn_port,
        "extra": wanted.extra,
    }
    # The UI sends 0 for no port, and Airflow 3.3 tests a stored connection only with its own port.
    return {name: value for name, value in fields.items() if value or name == "port"}


def main(mark: str = "") -> int:
    """Prepare the database that the environment names; return the exit code."""
    from include.local_airflow.airflow.retention import remove_old  # make run does without

    try:
        launch = Launch.read()
        prepare_database(launch, Path(mark) if mark else None)
        if mark:  # nobody else's database
            remove_old(launch.home)
    except LaunchError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    is_there = sys.stdin.readline()  # Airflow has been imported meanwhile
    sys.exit(main(*sys.argv[1:]) if is_there else 1)

"""Which dbt Cloud `make run` and `make start` use, in one line."""

from __future__ import annotations

import subprocess
import sys

from rich.console import Console
from rich.text import Text

from include.local_airflow.errors import LaunchError
from include.local_airflow.settings.airflow_settings import NAME, read_settings
from include.local_airflow.settings.connection_check import check_connection, check_variables, named
from include.local_airflow.settings.connection_names import misnamed
from include.local_airflow.settings.connection_variable import (
    ConnectionFields,
    UnusableConnectionError,
    read_connection,
)
from include.local_airflow.settings.launch import Launch
from include.local_airflow.settings.metadata_database import sqlite_database
from include.local_servers.connections import CENSUS, DBT_CLOUD, FIVETRAN
from include.local_servers.dbt_pythons import DbtPythonError, given_pythons

_PROVIDERS_HOST = "cloud.getdbt.com"  # what a connection without a host means
LOCAL_LOGINS = ("", DBT_CLOUD.login, FIVETRAN.login, CENSUS.login)
BACKEND = "AIRFLOW__SECRETS__BACKEND"
HIDDEN = "hidden"  # a password as Airflow's API shows it, as far as its check goes


def check_before_start(launch: Launch, console: Console) -> str:
    """Check all that somebody can have set, so that a mistake is told before anything starts.

    Returns, and raises, as ``check_connections`` does.
    """
    read_settings(launch.root / NAME)
    check_dbt_pythons(launch)
    return check_connections(launch, console)


def check_dbt_pythons(launch: Launch) -> None:
    """Check which other dbt the local dbt Cloud is to run.

    Raises:
        LaunchError: the variable is wrong.
    """
    try:
        if launch.uses_local_dbt_cloud:
            given_pythons(launch.variables, launch.root)
    except DbtPythonError as error:
        raise LaunchError(f"{error}") from None


def check_connections(launch: Launch, console: Console) -> str:
    """Check the connection variables, and the secrets backend if there is one.

    Prints a warning of each variable whose name is probably mistyped.

    Returns:
        Host and account that the backend names; nothing if it names none.

    Raises:
        LaunchError: Airflow could not use one of them, and would use another connection.
    """
    check_variables(launch.variables)
    for warning in misnamed(launch):
        console.print(Text(f"Warning: {warning}", style="yellow"), soft_wrap=True)
    if BACKEND not in launch.variables:
        return ""
    with launch.environment_to_look(sqlite_database(launch.home)) as environment:
        done = subprocess.run(
            [sys.executable, "-m", "include.local_airflow.airflow.secrets_backend"],
            cwd=launch.root,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
    last = ["", *done.stdout.splitlines()][-1]  # behind what Airflow prints when it is imported
    if done.returncode:
        raise LaunchError(
            last or "AIRFLOW__SECRETS__BACKEND cannot be used: the process that asked it ended."
        )
    return last


def dbt_cloud_in_use(
    launch: Launch, in_database: dict[str, object] | None = None, in_backend: str = ""
) -> str:
    """Return which dbt Cloud the connection leads to and who says so, without the token.

    Airflow asks a secrets backend first, then the environment, then its database.

    Args:
        launch: the user's choices.
        in_database: the connection as Airflow's API shows it; None if nobody can have edited it.
        in_backend: host and account of the secrets backend, as `check_connections` returns them.
    """
    if in_backend:
        backend = launch.variables[BACKEND].rpartition(".")[2]
        return f"dbt Cloud: {in_backend} ({backend}, whatever the UI shows)."
    return f"dbt Cloud: {_without_backend(launch, in_database)}"


def _without_backend(launch: Launch, in_database: dict[str, object] | None) -> str:
    if value := launch.variables.get(DBT_CLOUD.variable):
        return f"{named(read_connection(value))} ({DBT_CLOUD.variable}, whatever the UI shows)."
    if in_database and not leads_here(in_database.get("host"), in_database.get("login")):
        return _in_ui(in_database)
    return f"the local one, https://localhost:{launch.dbt_cloud_port}."


def _in_ui(in_database: dict[str, object]) -> str:
    texts = {name: str(in_database.get(name) or "") for name in ("conn_type", "login")}
    found = ConnectionFields(
        **texts,
        host=str(in_database.get("host") or _PROVIDERS_HOST),
        password=HIDDEN if in_database.get("password") else "",
        port=int(str(in_database.get("port") or 0)),
    )
    try:
        check_connection(found)
    except UnusableConnectionError as error:
        return f"the connection {DBT_CLOUD.conn_id} in the UI cannot be used. {error}"
    return f"{named(found)} (the connection {DBT_CLOUD.conn_id} in the UI)."


def leads_here(host: object, login: object) -> bool:
    """Return whether a connection leads to a local server, or to the local warehouse's file.

    A second account on this machine, to practise with, has a login of its own. Either field may
    be None, as Airflow has it where nothing was entered.
    """
    place = str(host or "")
    is_local = place.startswith("localhost:") and str(login or "") in LOCAL_LOGINS
    return is_local or place.endswith("/warehouse.duckdb")

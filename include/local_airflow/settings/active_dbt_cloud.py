"""The dbt Cloud that ``make run`` and ``make start`` use."""

from __future__ import annotations

import subprocess
import sys

from rich.console import Console
from rich.text import Text

from include.local_airflow.errors import LaunchError
from include.local_airflow.settings.airflow_settings import NAME, read_settings
from include.local_airflow.settings.connection_check import (
    check_connection,
    check_variables,
    host_and_account,
)
from include.local_airflow.settings.connection_names import mistyped_names
from include.local_airflow.settings.connection_variable import (
    ConnectionFields,
    UnusableConnectionError,
    read_connection,
)
from include.local_airflow.settings.environment import read_only_environment
from include.local_airflow.settings.launch import Launch
from include.local_airflow.settings.metadata_database import sqlite_database
from include.local_dbt_cloud.serving.connections import CENSUS, DBT_CLOUD, FIVETRAN
from include.local_dbt_cloud.serving.dbt_pythons import DbtPythonError, given_pythons

_PROVIDERS_HOST = "cloud.getdbt.com"  # the default of a connection without a host
LOCAL_LOGINS = ("", DBT_CLOUD.login, FIVETRAN.login, CENSUS.login)
BACKEND = "AIRFLOW__SECRETS__BACKEND"
HIDDEN = "hidden"  # stands for a password, which Airflow's API masks


def check_before_start(launch: Launch, console: Console) -> str:
    """Check all settings before anything starts; return as ``check_connections`` does.

    Raises:
        LaunchError: a setting is wrong.
    """
    read_settings(launch.root / NAME)
    check_dbt_pythons(launch)
    return check_connections(launch, console)


def check_dbt_pythons(launch: Launch) -> None:
    """Check the variable with other dbt versions for the local dbt Cloud.

    Raises:
        LaunchError: the variable is invalid.
    """
    try:
        if launch.uses_local_dbt_cloud:
            given_pythons(launch.variables, launch.root)
    except DbtPythonError as error:
        raise LaunchError(f"{error}") from None


def check_connections(launch: Launch, console: Console) -> str:
    """Check the connection variables, and the secrets backend if there is one.

    Print a warning for each variable whose name is probably mistyped.

    Returns:
        Host and account in the secrets backend; empty if it has none.

    Raises:
        LaunchError: one of them is unusable, so Airflow would use another connection.
    """
    check_variables(launch.variables)
    for warning in mistyped_names(launch):
        console.print(Text(f"Warning: {warning}", style="yellow"), soft_wrap=True)
    if BACKEND not in launch.variables:
        return ""
    with read_only_environment(launch, sqlite_database(launch.home)) as environment:
        done = subprocess.run(
            [sys.executable, "-m", "include.local_airflow.airflow.secrets_backend"],
            cwd=launch.root,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
    last = ["", *done.stdout.splitlines()][-1]  # after the output of Airflow's import
    if done.returncode:
        raise LaunchError(
            last or "AIRFLOW__SECRETS__BACKEND cannot be used: the process that checked it crashed."
        )
    return last


def active_dbt_cloud(
    launch: Launch, in_database: dict[str, object] | None = None, in_backend: str = ""
) -> str:
    """Return the connection's dbt Cloud and its source in one line, without the token.

    Airflow reads a secrets backend first, then the environment, then its database.

    Args:
        launch: the user's choices.
        in_database: the connection from Airflow's API; ``None`` if Airflow is not running.
        in_backend: host and account of the secrets backend, from ``check_connections``.
    """
    if in_backend:
        backend = launch.variables[BACKEND].rpartition(".")[2]
        return f"dbt Cloud: {in_backend} ({backend}, overrides the UI)."
    return f"dbt Cloud: {_without_backend(launch, in_database)}"


def _without_backend(launch: Launch, in_database: dict[str, object] | None) -> str:
    if value := launch.variables.get(DBT_CLOUD.variable):
        account = host_and_account(read_connection(value))
        return f"{account} ({DBT_CLOUD.variable}, overrides the UI)."
    if in_database and not is_local(in_database.get("host"), in_database.get("login")):
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
    return f"{host_and_account(found)} (the connection {DBT_CLOUD.conn_id} in the UI)."


def is_local(host: object, login: object) -> bool:
    """Return whether a connection is that of a local server or of the local warehouse file.

    The practice account of ``make second-account`` has a different login. In Airflow, an empty
    field is ``None``.
    """
    text = str(host or "")
    is_local_server = text.startswith("localhost:") and str(login or "") in LOCAL_LOGINS
    return is_local_server or text.endswith("/warehouse.duckdb")

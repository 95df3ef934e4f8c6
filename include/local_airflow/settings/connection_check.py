"""The check of connections for ``make run``, ``make start``, ``make doctor`` and Docker.

``python -m include.local_airflow.settings.connection_check`` checks the environment for
``in_docker.sh`` and prints the host and account of its dbt Cloud connection.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from typing import Any

from include.local_airflow.errors import LaunchError, run_reporting_errors
from include.local_airflow.settings.connection_variable import (
    EXAMPLE_FIELDS,
    PREFIX,
    ConnectionFields,
    UnusableConnectionError,
    read_connection,
)
from include.local_dbt_cloud.serving.connections import DBT_CLOUD

PLACEHOLDER = re.compile(r"\.\.\.|\*+|dbt\w_\.\.\.|(YOUR|THE)_[A-Z_]+|<.*>")
TOKEN_PATTERN = re.compile(r"dbt[a-z]_|[A-Za-z0-9_-]{32,}$")
HOST_PATTERN = re.compile(r"(\[[0-9A-Fa-f:]+\]|[A-Za-z0-9_.-]+)(:[0-9]{1,5})?")


def check_variables(variables: Mapping[str, str]) -> None:
    """Check each connection variable.

    Raises:
        LaunchError: one is unusable; the message has its name, the mistake and the fix.
    """
    for name in sorted(variables):
        if name.upper().startswith(PREFIX):
            try:
                _check_variable(name, variables[name])
            except UnusableConnectionError as error:
                raise LaunchError(f"{name} cannot be used. {error}") from None


def check_connection(connection: Any, needs_login: bool = True) -> None:
    """Check the fields of a connection to dbt Cloud before it is used.

    Args:
        connection: Airflow's ``Connection``, or ``ConnectionFields``.
        needs_login: whether a task relies on the connection's account.

    Raises:
        UnusableConnectionError: the connection cannot work with any dbt Cloud.
    """
    fields = {
        name: str(getattr(connection, name) or "")
        for name in ("conn_type", "host", "login", "password")
    }
    _check_type(fields["conn_type"])
    _check_presence(fields, needs_login)
    _check_placeholders(fields)
    _check_host(fields["host"], connection.port)
    _check_login(fields["login"])
    _check_proxies(getattr(connection, "extra_dejson", {}))
    if not re.fullmatch("[!-~]+", fields["password"]):
        raise UnusableConnectionError(
            "Its password has a blank, a line break or another character that is not part of a "
            "token: remove it."
        )
    if fields["host"] == EXAMPLE_FIELDS["host"]:
        raise UnusableConnectionError(
            "Its host is still the example: set your account's access URL, without https://."
        )


def main() -> int:
    """Check the environment's connection variables; print the host and account, if set."""
    check_variables(os.environ)
    if text := os.environ.get(DBT_CLOUD.variable):
        print(host_and_account(read_connection(text)))
    return 0


def host_and_account(connection: ConnectionFields) -> str:
    """Return the host and account of a checked connection."""
    return f"{connection.host}, account {connection.login}"


def _check_variable(name: str, text: str) -> None:
    if name != name.upper():
        raise UnusableConnectionError(
            f"Airflow reads only upper-case names: rename it to {name.upper()}."
        )
    if name == DBT_CLOUD.variable and re.match(r"(?i)\s*https?://", text):
        raise UnusableConnectionError(
            "It is the URL of a page: write JSON as in .env.example, with the number after "
            "/deploy/ as login."
        )
    connection = read_connection(text)
    if name == DBT_CLOUD.variable or re.sub(r"\W|_", "", connection.conn_type.lower()) in (
        "dbt",
        "dbtcloud",
    ):
        check_connection(connection)
    else:
        fields = {key: getattr(connection, key) for key in ("host", "login", "password")}
        _check_placeholders(fields)


def _check_type(conn_type: str) -> None:
    if not conn_type:
        raise UnusableConnectionError('It has no type: add "conn_type": "dbt_cloud".')
    if conn_type != DBT_CLOUD.conn_type:
        raise UnusableConnectionError('Its type is not dbt_cloud: set "conn_type": "dbt_cloud".')


def _check_presence(fields: Mapping[str, str], needs_login: bool) -> None:
    if not fields["host"]:
        raise UnusableConnectionError(
            "It has no host: set your access URL, such as ab123.us1.dbt.com, without https://."
        )
    if needs_login and not fields["login"]:
        raise UnusableConnectionError(
            "It has no login: set the account id, the number after /deploy/ in a job's URL."
        )
    if not fields["password"]:
        raise UnusableConnectionError("It has no password: set the service token.")


def _check_placeholders(fields: Mapping[str, str]) -> None:
    for name, value in fields.items():
        if PLACEHOLDER.fullmatch(value):
            raise UnusableConnectionError(
                f"Its {name} is still the example: replace it with your own."
            )


def _check_host(host: str, port: int | None) -> None:
    """Check the host; print it only if it is valid, because it may be a misplaced token."""
    if re.match(r"\w+://", host):
        raise UnusableConnectionError(
            "Its host starts with https://: write only the name, such as ab123.us1.dbt.com."
        )
    if re.search(r"\s", host):
        raise UnusableConnectionError("Its host has a blank or a line break: remove it.")
    if re.search(r"[/?#]", host):
        raise UnusableConnectionError("Its host has a path: remove the / and everything after it.")
    if TOKEN_PATTERN.match(host):
        raise UnusableConnectionError(
            "Its host looks like a token: set the access URL as host and the token as password."
        )
    if not HOST_PATTERN.fullmatch(host):
        raise UnusableConnectionError(
            "Its host is not a name such as ab123.us1.dbt.com: correct it, without https://."
        )
    if port not in (None, 0, 443) and not host.rpartition("]")[2].count(":"):
        raise UnusableConnectionError(
            "Airflow's dbt Cloud provider ignores the port of a connection: use JSON and set "
            f'"host": "{host}:{port}".'
        )


def _check_proxies(extra: Mapping[str, Any]) -> None:
    if not isinstance(extra.get("proxies") or {}, dict):
        raise UnusableConnectionError(
            'The proxies in its extra are not an object: write {"proxies": {"https": '
            '"http://PROXY:PORT"}}, or remove them.'
        )


def _check_login(login: str) -> None:
    if login and not re.fullmatch("[0-9]+", login):
        raise UnusableConnectionError(
            "Its login is not an account id: set the number after /deploy/ in a job's URL."
        )


if __name__ == "__main__":
    sys.exit(run_reporting_errors(main, interrupted="Stopped."))

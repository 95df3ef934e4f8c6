"""Whether connections can be used: one check for `make run`, `start`, `doctor` and for Docker.

`python -m include.local_airflow.settings.connection_check` checks the environment, for
`in_docker.sh`, and prints which dbt Cloud it names.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from typing import Any

from include.local_airflow.errors import LaunchError, told
from include.local_airflow.settings.connection_variable import (
    EXAMPLE,
    PREFIX,
    ConnectionFields,
    UnusableConnectionError,
    read_connection,
)
from include.local_servers.connections import DBT_CLOUD

PLACEHOLDER = re.compile(r"\.\.\.|\*+|dbt\w_\.\.\.|(YOUR|THE)_[A-Z_]+|<.*>")
TOKEN = re.compile(r"dbt[a-z]_|[A-Za-z0-9_-]{32,}$")
HOST = re.compile(r"(\[[0-9A-Fa-f:]+\]|[A-Za-z0-9_.-]+)(:[0-9]{1,5})?")


def check_variables(variables: Mapping[str, str]) -> None:
    """Check each connection variable.

    Raises:
        LaunchError: Airflow could not use one; names it, the mistake and what to do.
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
        needs_login: no task names an account of its own.

    Raises:
        UnusableConnectionError: dbt Cloud would not be reached by it, whatever dbt Cloud says.
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
            "Its password holds more than a token, such as a blank or the end of a line: take "
            "that away."
        )
    if fields["host"] == EXAMPLE["host"]:
        raise UnusableConnectionError(
            "Its host is still the example's: write your account's own access URL, without "
            "https://."
        )


def main() -> int:
    """Check the environment's connection variables; print host and account if they are named."""
    check_variables(os.environ)
    if text := os.environ.get(DBT_CLOUD.variable):
        print(named(read_connection(text)))
    return 0


def named(connection: ConnectionFields) -> str:
    """Return host and account of a connection that has been checked."""
    return f"{connection.host}, account {connection.login}"


def _check_variable(name: str, text: str) -> None:
    if name != name.upper():
        raise UnusableConnectionError(f"Airflow reads capitals only: name it {name.upper()}.")
    if name == DBT_CLOUD.variable and re.match(r"(?i)\s*https?://", text):
        raise UnusableConnectionError(
            "It is the address of a page: write JSON as .env.example shows, with the number behind "
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
        raise UnusableConnectionError('Its type is not dbt_cloud: write "conn_type": "dbt_cloud".')


def _check_presence(fields: Mapping[str, str], needs_login: bool) -> None:
    if not fields["host"]:
        raise UnusableConnectionError(
            "It has no host: put your access URL there, such as ab123.us1.dbt.com, without "
            "https://."
        )
    if needs_login and not fields["login"]:
        raise UnusableConnectionError(
            "It has no login: put the account id there, the number behind /deploy/ in a job's "
            "address."
        )
    if not fields["password"]:
        raise UnusableConnectionError("It has no password: put the service token there.")


def _check_placeholders(fields: Mapping[str, str]) -> None:
    for name, value in fields.items():
        if PLACEHOLDER.fullmatch(value):
            raise UnusableConnectionError(
                f"Its {name} is still the example's: write your own instead."
            )


def _check_host(host: str, port: int | None) -> None:
    """The host itself may be a token in the wrong place, so it is printed only when it is well."""
    if re.match(r"\w+://", host):
        raise UnusableConnectionError(
            "Its host begins with https://: write the name alone, such as ab123.us1.dbt.com."
        )
    if re.search(r"\s", host):
        raise UnusableConnectionError("Its host has a blank or a line break: remove it.")
    if re.search(r"[/?#]", host):
        raise UnusableConnectionError(
            "Its host has a path: remove the / and what follows it, so that the name is left."
        )
    if TOKEN.match(host):
        raise UnusableConnectionError(
            "Its host looks like a token: write the access URL as host, the token as password."
        )
    if not HOST.fullmatch(host):
        raise UnusableConnectionError(
            "Its host is not a name such as ab123.us1.dbt.com: correct it, without https://."
        )
    if port not in (None, 0, 443) and not host.rpartition("]")[2].count(":"):
        raise UnusableConnectionError(
            "Airflow's dbt Cloud provider ignores a connection's port: write JSON with "
            f'"host": "{host}:{port}".'
        )


def _check_proxies(extra: Mapping[str, Any]) -> None:
    if not isinstance(extra.get("proxies") or {}, dict):
        raise UnusableConnectionError(
            'Its extra names no proxies: write it as {"proxies": {"https": "http://PROXY:PORT"}}, '
            "or remove it."
        )


def _check_login(login: str) -> None:
    if login and not re.fullmatch("[0-9]+", login):
        raise UnusableConnectionError(
            "Its login is not the account id, the number behind /deploy/ in the job's address: "
            "write that number alone."
        )


if __name__ == "__main__":
    sys.exit(told(main, interrupted="Stopped."))

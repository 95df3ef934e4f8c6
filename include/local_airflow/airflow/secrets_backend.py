"""The connections of Airflow's secrets backend, looked up before anything starts.

Airflow asks the backend first. One that fails, or has a connection that cannot be used, it skips
without a word, and uses the connection in its database instead.

`python -m include.local_airflow.airflow.secrets_backend` imports Airflow. Its last line
is which dbt Cloud the backend names, nothing if it names none, or what is wrong.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from include.local_airflow.errors import LaunchError
from include.local_airflow.settings.connection_check import check_connection, named
from include.local_airflow.settings.connection_variable import (
    TEXTS,
    ConnectionFields,
    UnusableConnectionError,
    check_extra,
    check_texts,
)
from include.local_servers.connections import ALL, DBT_CLOUD

KWARGS = "AIRFLOW__SECRETS__BACKEND_KWARGS"


def look_up(backend: Any, conn_id: str) -> Any:
    """Return the connection that one of Airflow's backends has, or None.

    Raises:
        UnusableConnectionError: Airflow would go on to the next backend.
    """
    try:
        connection = backend.get_connection(conn_id=conn_id)
        if connection:
            check_texts({name: getattr(connection, name) for name in TEXTS})
            check_extra(connection.extra or "{}")
            connection.get_uri()  # Airflow does so too
    except UnusableConnectionError:
        raise
    except Exception as error:  # backends raise whatever their libraries raise
        raise UnusableConnectionError(
            f"It cannot be read ({_reason(error)}): write it as .env.example shows, and see that "
            "the secrets backend is reached."
        ) from error
    return connection


def _reason(error: Exception) -> str:
    """Return an exception's class, and its text if that cannot hold a piece of a secret."""
    text = str(error).strip().splitlines() if isinstance(error, OSError) else []
    return ": ".join([type(error).__name__, *text[:1]])


def dbt_cloud_in_backend() -> str:
    """Return host and account that the configured backend names; nothing if it names none.

    Raises:
        LaunchError: Airflow could not use the backend, or one of its connections.
    """
    _check_kwargs(os.environ.get(KWARGS) or "{}")
    try:
        from include.local_airflow.airflow.internals import ensure_secrets_loaded

        backend = ensure_secrets_loaded()[0]
    except Exception as error:
        raise LaunchError(
            f"AIRFLOW__SECRETS__BACKEND cannot be loaded ({type(error).__name__}: {error}): "
            "correct it, and AIRFLOW__SECRETS__BACKEND_KWARGS, as docs/secrets.md shows."
        ) from error
    found = ""
    for local in ALL:
        try:
            connection = look_up(backend, local.conn_id)
            if connection and local == DBT_CLOUD:
                check_connection(connection)
                found = named(ConnectionFields(host=connection.host, login=connection.login))
        except UnusableConnectionError as error:
            raise LaunchError(
                f"The connection {local.conn_id} of {type(backend).__name__} cannot be used. "
                f"{error}"
            ) from None
    return found


def _check_kwargs(text: str) -> None:
    """Check the backend's options: Airflow leaves them out if they are malformed."""
    try:
        is_object = isinstance(json.loads(text), dict)
    except ValueError:
        is_object = False
    if not is_object:
        raise LaunchError(
            "AIRFLOW__SECRETS__BACKEND_KWARGS is not a JSON object: write it as .env.example shows."
        )


def main() -> int:
    try:
        print(dbt_cloud_in_backend())
    except LaunchError as error:
        print(" ".join(str(error).split()))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

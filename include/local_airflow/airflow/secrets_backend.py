"""The check of the connections in Airflow's secrets backend, before anything starts.

Airflow reads the backend first. It silently skips a backend that fails or returns an unusable
connection, and then uses the connection in its database.

``python -m include.local_airflow.airflow.secrets_backend`` imports Airflow. Its last line is the
backend's dbt Cloud host and account, empty if there is none, or the error.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from include.local_airflow.errors import LaunchError
from include.local_airflow.settings.connection_check import check_connection, host_and_account
from include.local_airflow.settings.connection_variable import (
    TEXTS,
    ConnectionFields,
    UnusableConnectionError,
    check_extra,
    check_texts,
)
from include.local_dbt_cloud.serving.connections import ALL, DBT_CLOUD

KWARGS = "AIRFLOW__SECRETS__BACKEND_KWARGS"


def look_up(backend: Any, conn_id: str) -> Any:
    """Return a connection from one of Airflow's backends, or ``None``.

    Raises:
        UnusableConnectionError: Airflow would skip this backend.
    """
    try:
        connection = backend.get_connection(conn_id=conn_id)
        if connection:
            check_texts({name: getattr(connection, name) for name in TEXTS})
            check_extra(connection.extra or "{}")
            connection.get_uri()  # as Airflow does
    except UnusableConnectionError:
        raise
    except Exception as error:  # backends raise the exceptions of their libraries
        raise UnusableConnectionError(
            f"It cannot be read ({_reason(error)}): write it as in .env.example, and check that "
            "the secrets backend is reachable."
        ) from error
    return connection


def _reason(error: Exception) -> str:
    """Return an exception's class, with its text if that cannot contain a secret."""
    text = str(error).strip().splitlines() if isinstance(error, OSError) else []
    return ": ".join([type(error).__name__, *text[:1]])


def dbt_cloud_in_backend() -> str:
    """Return the host and account in the configured backend; empty if it has none.

    Raises:
        LaunchError: the backend or one of its connections is unusable.
    """
    _check_kwargs(os.environ.get(KWARGS) or "{}")
    try:
        from airflow.configuration import ensure_secrets_loaded

        backend = ensure_secrets_loaded()[0]
    except Exception as error:
        raise LaunchError(
            f"AIRFLOW__SECRETS__BACKEND cannot be loaded ({type(error).__name__}: {error}): "
            "correct it and AIRFLOW__SECRETS__BACKEND_KWARGS (as cloned, see docs/secrets.md)."
        ) from error
    found = ""
    for local in ALL:
        try:
            connection = look_up(backend, local.conn_id)
            if connection and local == DBT_CLOUD:
                check_connection(connection)
                found = host_and_account(
                    ConnectionFields(host=connection.host, login=connection.login)
                )
        except UnusableConnectionError as error:
            raise LaunchError(
                f"The connection {local.conn_id} of {type(backend).__name__} cannot be used. "
                f"{error}"
            ) from None
    return found


def _check_kwargs(text: str) -> None:
    """Check the backend's options, which Airflow ignores if they are malformed."""
    try:
        is_object = isinstance(json.loads(text), dict)
    except ValueError:
        is_object = False
    if not is_object:
        raise LaunchError(
            "AIRFLOW__SECRETS__BACKEND_KWARGS is not a JSON object: write it as in .env.example."
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

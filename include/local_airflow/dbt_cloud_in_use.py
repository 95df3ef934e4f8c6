"""Which dbt Cloud `make run` and `make start` use, in one line."""

from __future__ import annotations

import json
from urllib.parse import unquote, urlsplit

from include.local_airflow.environment import Launch
from include.local_servers.connections import DBT_CLOUD

_BACKEND = "AIRFLOW__SECRETS__BACKEND"
_PROVIDERS_HOST = "cloud.getdbt.com"  # what a connection without a host means


def dbt_cloud_in_use(launch: Launch, in_database: dict[str, object] | None = None) -> str:
    """Return which dbt Cloud the connection leads to and who says so, without the token.

    Airflow asks a secrets backend first, then the environment, then its database.

    Args:
        launch: the user's choices.
        in_database: the connection as Airflow's API shows it; None if nobody can have edited it.
    """
    backend = launch.variables.get(_BACKEND, "").rpartition(".")[2]
    otherwise = f"what {backend} has for {DBT_CLOUD.conn_id}, else " if backend else ""
    return f"dbt Cloud: {otherwise}{_without_backend(launch, in_database)}."


def _without_backend(launch: Launch, in_database: dict[str, object] | None) -> str:
    if value := launch.variables.get(DBT_CLOUD.variable):
        return f"{_account(_fields(value))} ({DBT_CLOUD.variable}, whatever the UI shows)"
    if in_database and not leads_here(str(in_database.get("host") or "")):
        return f"{_account(in_database)} (the connection {DBT_CLOUD.conn_id} in the UI)"
    return f"the local one, https://localhost:{launch.dbt_cloud_port}"


def leads_here(host: str) -> bool:
    """Tell whether a connection's host is a local server, or the local warehouse's file."""
    return host.startswith("localhost:") or host.endswith("/warehouse.duckdb")


def _account(fields: dict[str, object]) -> str:
    return f"{fields.get('host') or _PROVIDERS_HOST}, account {fields.get('login') or 'unknown'}"


def _fields(value: str) -> dict[str, object]:
    """Return what the value of AIRFLOW_CONN_... says: JSON or a URI, nothing if it is neither."""
    if not value.startswith("{"):
        url = urlsplit(value)
        return {"host": unquote(url.hostname or ""), "login": unquote(url.username or "")}
    try:
        fields = json.loads(value)
    except ValueError:
        return {"host": "an account that cannot be read"}
    return fields if isinstance(fields, dict) else {}

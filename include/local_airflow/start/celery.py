"""The message broker of Celery's workers."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

from include.local_airflow.errors import LaunchError
from include.local_airflow.settings.launch import Launch

EXAMPLE = "BROKER_URL=redis://localhost:6379/0"
PORTS = {"redis": 6379, "rediss": 6379, "amqp": 5672, "amqps": 5671}
URL = "AIRFLOW__CELERY__BROKER_URL"


def broker_settings(launch: Launch) -> dict[str, str]:
    """Return Airflow's settings for Celery; none for another executor.

    Raises:
        LaunchError: BROKER_URL is missing or is not the URL of a broker.
    """
    if launch.executor != "CeleryExecutor":
        return {}
    url = launch.variables.get("BROKER_URL", "")
    parts = urlsplit(url)
    if parts.scheme not in PORTS or not parts.hostname:
        raise LaunchError(f"EXECUTOR=CeleryExecutor needs a message broker: set {EXAMPLE}.")
    return {URL: url, "AIRFLOW__CELERY__WORKER_CONCURRENCY": "4"}  # tasks at once in each worker


def require_broker(settings: dict[str, str]) -> None:
    """Connect to the broker of ``broker_settings``, if there is one.

    Raises:
        LaunchError: the connection fails.
    """
    if not settings:
        return
    parts = urlsplit(settings[URL])
    address = (str(parts.hostname), parts.port or PORTS[parts.scheme])
    try:
        socket.create_connection(address, timeout=5).close()
    except OSError as error:
        raise LaunchError(
            f"No message broker responds at {address[0]}:{address[1]} ({error}). Start it, for "
            "example with redis-server, or correct BROKER_URL."
        ) from error

"""The message broker that Celery's workers are reached by."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

from include.local_airflow.errors import LaunchError
from include.local_airflow.settings.launch import Launch

EXAMPLE = "BROKER_URL=redis://localhost:6379/0"
PORTS = {"redis": 6379, "rediss": 6379, "amqp": 5672, "amqps": 5671}


def broker_settings(launch: Launch) -> dict[str, str]:
    """Return Airflow's settings for Celery; none for another executor.

    Raises:
        LaunchError: BROKER_URL is missing, is none, or nobody answers there.
    """
    if launch.executor != "CeleryExecutor":
        return {}
    url = launch.variables.get("BROKER_URL", "")
    parts = urlsplit(url)
    if parts.scheme not in PORTS or not parts.hostname:
        raise LaunchError(f"EXECUTOR=CeleryExecutor needs a message broker: give {EXAMPLE}.")
    address = (parts.hostname, parts.port or PORTS[parts.scheme])
    try:
        socket.create_connection(address, timeout=5).close()
    except OSError as error:
        raise LaunchError(
            f"No message broker answers at {address[0]}:{address[1]} ({error}): start it, for "
            "example with redis-server, or correct BROKER_URL."
        ) from error
    return {
        "AIRFLOW__CELERY__BROKER_URL": url,
        "AIRFLOW__CELERY__WORKER_CONCURRENCY": "4",  # tasks at once in each worker
    }

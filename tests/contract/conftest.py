"""A plain HTTP client for calls that Airflow's provider does not offer."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

import httpx
import pytest

from tests.running_dbt_cloud import RunningDbtCloud


def http_client(server: RunningDbtCloud) -> httpx.Client:
    return httpx.Client(
        base_url=f"{server.url}/api",
        headers={"Authorization": f"Bearer {server.token}"},
        verify=ssl.create_default_context(cafile=server.authority),
        timeout=30,  # seconds
    )


@pytest.fixture(scope="session")
def api(local_dbt_cloud: RunningDbtCloud) -> Iterator[httpx.Client]:
    """Yield a client for paths below ``/api``; it does not follow redirects."""
    with http_client(local_dbt_cloud) as client:
        yield client

"""A plain HTTP client for calls that Airflow's provider does not offer."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

import httpx
import pytest

from include.local_dbt_cloud.testing import LocalDbtCloud


def http_client(server: LocalDbtCloud) -> httpx.Client:
    return httpx.Client(
        base_url=f"{server.url}/api",
        headers={"Authorization": f"Bearer {server.token}"},
        verify=ssl.create_default_context(cafile=server.ca_file),
        timeout=30,  # seconds
    )


@pytest.fixture(scope="session")
def api(local_dbt_cloud: LocalDbtCloud) -> Iterator[httpx.Client]:
    """Yield a client for paths below ``/api``; it does not follow redirects."""
    with http_client(local_dbt_cloud) as client:
        yield client

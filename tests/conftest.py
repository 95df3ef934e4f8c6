"""Shared fixtures: a certificate authority that the tests trust, and a local dbt Cloud."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from include.local_dbt_cloud.serving.certificates import ensure_certificates
from include.local_dbt_cloud.testing import LocalDbtCloud

# requests and aiohttp must trust the local authority before Airflow, which imports them, is
# imported. They trust only this one: reading the usual roots takes 45 ms for each new connection.
# Airflow has its own home, separate from the user's.
SESSION = Path(tempfile.mkdtemp(prefix="local-dbt-cloud-"))
CERTIFICATES = ensure_certificates(SESSION / "data")
os.environ["REQUESTS_CA_BUNDLE"] = os.environ["SSL_CERT_FILE"] = str(CERTIFICATES.ca)
os.environ.setdefault("AIRFLOW_HOME", str(SESSION / "airflow"))
os.environ.setdefault("AIRFLOW__CORE__LOAD_EXAMPLES", "False")

with suppress(ImportError):  # not installed in the Astro image
    from hypothesis import HealthCheck, settings

    # Tests depend neither on the machine's load nor on chance: the examples are the same each time,
    # unless a search for new ones is wanted.
    settings.register_profile(
        "tests",
        deadline=None,
        derandomize="SEARCH_EXAMPLES" not in os.environ,
        suppress_health_check=[HealthCheck.too_slow],
    )
    settings.load_profile("tests")

pytest_plugins = ["include.local_dbt_cloud.pytest_plugin"]

# The time limit of a test in seconds, including the servers it starts, on two busy cores.
LIMIT = 300
LIMITS = {"tests/e2e/": 900, "tests/astro/": 3600}
# The slowest files start first, so that none of them runs alone at the end.
FIRST = ("tests/e2e/", "tests/unit/dbt_cloud/")


def pytest_configure(config: pytest.Config) -> None:
    """Allow warnings in the Astro image, which has the newest packages, not the pinned ones."""
    if not config.pluginmanager.hasplugin("timeout"):
        config.addinivalue_line("filterwarnings", "default")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Set a time limit for each test."""
    items.sort(key=lambda item: [not item.nodeid.startswith(folder) for folder in FIRST])
    for item in items:
        if not item.get_closest_marker("timeout"):
            found = [limit for folder, limit in LIMITS.items() if item.nodeid.startswith(folder)]
            item.add_marker(pytest.mark.timeout(*found or [LIMIT], method="signal"))


@pytest.fixture(scope="session", autouse=True)
def session_folder() -> Iterator[Path]:
    yield SESSION
    shutil.rmtree(SESSION, ignore_errors=True)


@pytest.fixture(scope="session")
def local_dbt_cloud_data(session_folder: Path) -> Path:
    """Replace the plugin's folder by the one whose authority the tests trust."""
    return session_folder / "data"


@pytest.fixture
def dbt_cloud_connection(
    local_dbt_cloud: LocalDbtCloud, monkeypatch: pytest.MonkeyPatch
) -> LocalDbtCloud:
    """Set Airflow's connection ``dbt_cloud_default`` to the local dbt Cloud."""
    monkeypatch.setenv("AIRFLOW_CONN_DBT_CLOUD_DEFAULT", local_dbt_cloud.connection)
    return local_dbt_cloud

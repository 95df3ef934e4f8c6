"""Fixtures for pytest, in every environment in which the package is installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from .serving.certificates import ensure_certificates
from .testing import LocalDbtCloud, share_authority

MakeLocalDbtCloud = Callable[..., LocalDbtCloud]


@pytest.fixture(scope="session")
def local_dbt_cloud_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the data folder of the session's server, whose authority other servers share."""
    return tmp_path_factory.mktemp("local_dbt_cloud")


@pytest.fixture(scope="session")
def local_dbt_cloud(local_dbt_cloud_data: Path) -> Iterator[LocalDbtCloud]:
    """Yield a server for all tests of the session; with pytest-xdist, of the worker."""
    with LocalDbtCloud(local_dbt_cloud_data) as server:
        yield server


@pytest.fixture(scope="session")
def local_dbt_cloud_factory(
    local_dbt_cloud_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> MakeLocalDbtCloud:
    """Return a function for another server, with more options; a ``with`` block starts it."""
    ensure_certificates(local_dbt_cloud_data)

    def make(*options: str | Path) -> LocalDbtCloud:
        data = tmp_path_factory.mktemp("local_dbt_cloud")
        share_authority(local_dbt_cloud_data, data)
        return LocalDbtCloud(data, options)

    return make


@pytest.fixture
def make_local_dbt_cloud(local_dbt_cloud_factory: MakeLocalDbtCloud) -> Iterator[MakeLocalDbtCloud]:
    """Yield a function that starts another server, with more options; it ends with the test."""
    with ExitStack() as servers:
        yield lambda *options: servers.enter_context(local_dbt_cloud_factory(*options))

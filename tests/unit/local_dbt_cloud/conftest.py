from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from include.local_dbt_cloud.storage.jobs_file import read_jobs_file
from include.local_dbt_cloud.storage.store import Store
from tests.bundled import JOBS_FILE


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Yield a database with the content of jobs.yaml, whose jobs have no schedules."""
    store = Store(tmp_path / "dbt_cloud.db")
    store.apply_jobs_file(read_jobs_file(JOBS_FILE))
    yield store
    store.close()

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from include.local_dbt_cloud.settings import JOBS_FILE
from include.local_dbt_cloud.storage.jobs_file import read_jobs_file
from include.local_dbt_cloud.storage.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A database with the content of jobs.yaml, of whose jobs none has a schedule."""
    store = Store(tmp_path / "dbt_cloud.db")
    store.take_over(read_jobs_file(JOBS_FILE))
    yield store
    store.close()

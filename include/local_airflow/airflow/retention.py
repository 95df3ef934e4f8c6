"""The retention of metadata and logs, which grow with every Dag run."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pendulum
from airflow.utils.db_cleanup import run_cleanup

DAYS = 30
INTERVAL = timedelta(days=1)


def remove_old(home: Path, now: datetime | None = None) -> None:
    """Remove metadata and logs that are older than ``DAYS``, at most once a day.

    The newest run of each Dag is kept. The database is the configured one.
    """
    now = now or datetime.now(UTC)
    mark = home / "cleaned"
    if mark.exists() and now - _changed(mark) < INTERVAL:
        return
    before = now - timedelta(days=DAYS)
    run_cleanup(clean_before_timestamp=pendulum.instance(before), confirm=False, skip_archive=True)
    remove_old_files(home / "logs", before)
    mark.touch()


def remove_old_files(folder: Path, before: datetime) -> None:
    """Remove the files last modified before ``before``, and empty folders."""
    for path in sorted(folder.rglob("*"), reverse=True):  # files before their folder
        with suppress(OSError):  # not empty, or removed by another process
            if path.is_dir() and not path.is_symlink():
                path.rmdir()
            elif _changed(path) < before:
                path.unlink()


def _changed(path: Path) -> datetime:
    return datetime.fromtimestamp(path.lstat().st_mtime, UTC)

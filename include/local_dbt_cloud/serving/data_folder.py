"""The data folder, and the lock that keeps it to one local dbt Cloud."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

VARIABLE = "LOCAL_DBT_CLOUD_DATA"


class DataFolderError(Exception):
    """The data folder cannot be used; the message has the reason and the next step."""


@contextmanager
def writing(data: Path) -> Iterator[None]:
    """Create the folder for a block that writes into it; raise DataFolderError on failure."""
    try:
        data.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise DataFolderError(
            f"The data folder {data} cannot be written: {error.strerror}. "
            "Make it writable, or choose another one with --data."
        ) from None


@contextmanager
def hold(data: Path) -> Iterator[None]:
    """Create the folder and lock it for this process; raise DataFolderError on failure."""
    with writing(data):
        (data / "runs").mkdir(exist_ok=True)
        if not (data / ".gitignore").exists():  # it has keys, and may be in a project's checkout
            (data / ".gitignore").write_text("*\n")
        lock = (data / "server.lock").open("a+")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DataFolderError(_in_use(data, lock.name)) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


def _in_use(data: Path, lock: str) -> str:
    pid = Path(lock).read_text().strip() or "unknown"
    return (
        f"The data folder {data} is in use by another local dbt Cloud (process {pid}). "
        "Stop that one, or choose another folder with --data."
    )

"""The warehouse: a lock for dbt commands on DuckDB, and the command that prepares a new one.

DuckDB lets one process write, and no other process read meanwhile. Other adapters need no lock.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..storage.profiles import DUCKDB

LOCK_POLL_SECONDS = 0.1
WITHOUT_WAREHOUSE = frozenset({"deps", "list", "ls", "parse"})
PLACEHOLDER = "{warehouse}"


class WarehouseError(Exception):
    """The warehouse could not be prepared; the message has the command and its output."""


class Warehouse:
    """The warehouse that all runs share; the runs themselves are concurrent.

    ``file`` is the server's own DuckDB, or None with another profile. ``before_runs`` is the
    command of the jobs file that prepares it, or an empty text.
    """

    def __init__(self, file: Path | None, before_runs: str) -> None:
        self.file = file
        self._before_runs = before_runs
        self._is_prepared = False
        self._preparing = threading.Lock()
        self._lock = threading.Lock()

    def prepare(self) -> None:
        """Run ``before_runs`` once, and again if the file is gone; raise WarehouseError."""
        with self._preparing:
            is_gone = self.file is not None and not self.file.exists()
            if not self._before_runs or (self._is_prepared and not is_gone):
                return
            _run(self._before_runs, self.file)
            self._is_prepared = True

    @contextmanager
    def take(self, adapter: str, arguments: list[str], check: Callable[[], None]) -> Iterator[None]:
        """Wait for a DuckDB warehouse if the dbt command ``arguments`` opens it.

        ``check`` is called during the wait and ends it by raising.
        """
        if adapter != DUCKDB or arguments[0] in WITHOUT_WAREHOUSE:
            yield
            return
        while not self._lock.acquire(timeout=LOCK_POLL_SECONDS):
            check()
        try:
            yield
        finally:
            self._lock.release()


def _run(command: str, file: Path | None) -> None:
    """Run the command in the server's folder; its ``python`` is the server's."""
    words = [word.replace(PLACEHOLDER, f"{file or ''}") for word in shlex.split(command)]
    if words[0] == "python":
        words[0] = sys.executable
    hidden = {"LOCAL_DBT_CLOUD_TOKEN"}
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    try:
        done = subprocess.run(
            words, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
    except OSError as error:
        raise WarehouseError(f"before_runs: {command}: {error.strerror}.") from None
    if done.returncode:
        output = (done.stderr or done.stdout).strip()
        raise WarehouseError(f"before_runs: {command} failed with {done.returncode}:\n{output}")

"""The warehouse's file: whose turn it is with it, and what is in it on a fresh machine.

DuckDB lets one process write, and nobody read meanwhile.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

CHECK_SECONDS = 0.1
WITHOUT_WAREHOUSE = frozenset({"deps", "list", "ls", "parse"})
_lock = threading.Lock()
_loaded: set[Path] = set()


class WarehouseLock:
    """Runs go on at the same time; those of their dbt commands that need the file take turns."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    @contextmanager
    def take(self, arguments: list[str], check: Callable[[], None]) -> Iterator[None]:
        """Waits for the file if the dbt command ``arguments`` opens it.

        ``check`` is called all the while and ends the wait by raising.
        """
        if arguments[0] in WITHOUT_WAREHOUSE:
            yield
            return
        while not self._lock.acquire(timeout=CHECK_SECONDS):
            check()
        try:
            yield
        finally:
            self._lock.release()


def ensure_raw_data(warehouse: Path) -> None:
    """Loads the shop's source files unless that was done; quick when it was.

    Raises what ``include.shop.ingest`` raises, for example when another process keeps the file.
    """
    with _lock:
        if warehouse in _loaded and warehouse.exists():
            return
        # Here, since it imports duckdb: 0.2 s of the server's start.
        from include.shop.ingest import load_raw_data

        load_raw_data(warehouse)
        _loaded.add(warehouse)

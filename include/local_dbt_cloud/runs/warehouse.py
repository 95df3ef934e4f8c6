"""The warehouse file: a lock for dbt commands, and the raw data of a new warehouse.

DuckDB lets one process write, and no other process read meanwhile.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK_POLL_SECONDS = 0.1
WITHOUT_WAREHOUSE = frozenset({"deps", "list", "ls", "parse"})
_lock = threading.Lock()
_loaded: set[Path] = set()


class WarehouseLock:
    """A lock for the dbt commands that open the warehouse; the runs themselves are concurrent."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    @contextmanager
    def take(self, arguments: list[str], check: Callable[[], None]) -> Iterator[None]:
        """Wait for the warehouse if the dbt command ``arguments`` opens it.

        ``check`` is called during the wait and ends it by raising.
        """
        if arguments[0] in WITHOUT_WAREHOUSE:
            yield
            return
        while not self._lock.acquire(timeout=LOCK_POLL_SECONDS):
            check()
        try:
            yield
        finally:
            self._lock.release()


def ensure_raw_data(warehouse: Path) -> None:
    """Load the shop's source files unless they are loaded; fast if they are.

    Raises the errors of ``include.shop.ingest``, for example if another process holds the file.
    """
    with _lock:
        if warehouse in _loaded and warehouse.exists():
            return
        # Imported here because duckdb takes 0.2 s of the server's startup.
        from include.shop.ingest import load_raw_data

        load_raw_data(warehouse)
        _loaded.add(warehouse)

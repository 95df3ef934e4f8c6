"""Whose turn it is with the warehouse: DuckDB lets one process write, and nobody read meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

CHECK_SECONDS = 0.1
WITHOUT_WAREHOUSE = frozenset({"deps", "list", "ls", "parse"})


class WarehouseTurn:
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

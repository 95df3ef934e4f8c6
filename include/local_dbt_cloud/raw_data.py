"""Fills the warehouse's raw schema on a fresh machine, before any Dag has loaded anything."""

from __future__ import annotations

import threading
from pathlib import Path

_lock = threading.Lock()
_loaded = False


def ensure_raw_data(warehouse: Path) -> None:
    """Loads the shop's source files unless that was done; quick when it was.

    Raises what ``include.warehouse`` raises, for example when another process keeps the file.
    """
    global _loaded
    with _lock:
        if _loaded and warehouse.exists():
            return
        from include.warehouse import load_raw_data  # imports duckdb: 0.2 s of the server's start

        load_raw_data()
        _loaded = True

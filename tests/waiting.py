"""Wait for what another process does."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

PATIENCE = 300.0  # seconds; for a busy machine, a Dag run takes about ten

T = TypeVar("T")


def eventually(
    look: Callable[[], T | None], what: str, patience: float = PATIENCE, pause: float = 0.5
) -> T:
    """Look until there is something to see, and fail with ``what`` was expected otherwise.

    ``pause`` is in seconds: each look takes its share of a busy machine.
    """
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(pause)
    raise AssertionError(f"after {patience:.0f} s: {what}")

"""The time limit of a run."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Self

from ..times import humanized


@dataclass(frozen=True)
class Deadline:
    """``limit`` in seconds after ``began``, or None for a run without a limit."""

    limit: int | None
    began: float

    @classmethod
    def after(cls, limit: int | None) -> Self:
        return cls(limit, time.monotonic())

    @property
    def seconds_left(self) -> float | None:
        if self.limit is None:
            return None
        return max(0.0, self.began + self.limit - time.monotonic())

    @property
    def has_passed(self) -> bool:
        return self.seconds_left == 0

    @property
    def message(self) -> str:
        """Return dbt Cloud's message."""
        took = timedelta(seconds=time.monotonic() - self.began)
        return (
            f"This run timed out after running for {humanized(took)}, "
            f"which exceeded the configured timeout of {self.limit} seconds."
        )

"""Injected faults: errors that the next calls return. There are none by default.

They are kept in memory: a restart clears all but those of ``--fault``.
"""

from __future__ import annotations

import shlex
import threading
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError

Refusal = Literal["400", "401", "403", "404"]
FaultKind = (
    Refusal | Literal["429", "500", "503", "close-before", "close-after", "slow", "truncate"]
)


class Fault(BaseModel):
    """A fault of the next ``times`` calls whose method and path match the patterns.

    ``*`` in ``path`` matches any text, including slashes. ``seconds`` is the ``Retry-After`` of
    a 429 and the delay of a slow response.
    """

    kind: FaultKind
    method: str = Field("*", max_length=20)
    path: str = Field("*", max_length=2048)
    times: int = Field(1, ge=1, le=1_000_000)
    seconds: float = Field(1.0, ge=0, le=3600)

    def matches(self, method: str, path: str) -> bool:
        pattern = self.path.rstrip("/") or "/"
        return fnmatchcase(method, self.method.upper()) and fnmatchcase(path, pattern)


class Faults:
    """Pending faults; each call takes the oldest one that matches."""

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self._first = tuple(faults)
        self._faults = list(self._first)
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> None:
        with self._lock:
            self._faults.append(fault)

    def list(self) -> list[Fault]:
        with self._lock:
            return list(self._faults)

    def clear(self) -> None:
        with self._lock:
            self._faults.clear()

    def reset(self) -> None:
        """Return to the faults of the start."""
        with self._lock:
            self._faults[:] = self._first

    def take(self, method: str, path: str) -> Fault | None:
        """Return the fault for this call, counted down; None if no fault matches."""
        if not self._faults:
            return None
        with self._lock:
            for place, fault in enumerate(self._faults):
                if fault.matches(method, path):
                    left = fault.times - 1
                    rest = [fault.model_copy(update={"times": left})] if left else []
                    self._faults[place : place + 1] = rest
                    return fault
        return None


def parse_fault(text: str) -> Fault:
    """Parse ``KIND [METHOD [PATH]] [times=N] [seconds=N]``, the value of ``--fault``.

    Raises ValueError with a message for the user.
    """
    values: dict[str, Any] = {}
    fields = iter(("kind", "method", "path"))
    for word in shlex.split(text):
        name, equals, value = word.partition("=")
        if equals and name in {"times", "seconds"}:
            values[name] = value
        else:
            values[next(fields, "")] = word
    try:
        return Fault.model_validate(values, extra="forbid")
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "a fourth word"
        raise ValueError(f"{field}: {first['msg']}") from None

"""The nodes that an active run has begun, read from dbt's log.

The log has the time of day, with dbt Core's default format in whole seconds, and no threads.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from ..api.live_log import COLOR, NodeLine, read_line
from ..api.loose_json import moment, records, text

CLOCK = re.compile(r"(\d\d):(\d\d):(\d\d(?:\.\d+)?)\s")
HOUR, DAY = 3600.0, 86400.0
ZONES = HOUR / 4  # offsets of time zones are multiples of it


@dataclass(frozen=True)
class LiveNode:
    """A node; ``start`` and ``end`` are seconds since the log's first line.

    They are None in a log without times. ``thread`` is the first that is free, not dbt's own.
    """

    node: NodeLine
    start: float | None
    end: float | None
    thread: int | None = None

    @property
    def is_test(self) -> bool:
        return "." not in self.node.label  # a schema

    @property
    def is_busy(self) -> bool:
        return self.node.status == "started"


def live_nodes(run: dict[str, Any], now: datetime) -> list[LiveNode]:
    """Return the nodes in the order of their starts; a busy node ends now.

    Args:
        run: An active run with its steps and their logs.
        now: The time at which it was read.
    """
    found: dict[tuple[int, str], LiveNode] = {}
    clock = LogClock()
    for number, step in enumerate(records(run.get("run_steps"))):
        for line in COLOR.sub("", text(step.get("logs"))).splitlines():
            at = clock.read(line, moment(step.get("started_at")))
            if node := read_line(line):
                before = found.get((number, node.label))
                found[number, node.label] = LiveNode(node, start_of(node, at, before), at)
    end = clock.at(now)
    nodes = [replace(one, end=end) if one.is_busy else one for one in found.values()]
    return [*in_threads(sorted(nodes, key=lambda one: one.start or 0.0))]


def start_of(node: NodeLine, at: float | None, before: LiveNode | None) -> float | None:
    """Return the start of a node by its earlier line, or else by its seconds."""
    if before and before.is_busy and before.start is not None:
        return before.start
    return at if at is None else max(0.0, at - node.seconds)


def in_threads(nodes: list[LiveNode]) -> Iterator[LiveNode]:
    """Yield each node in the first thread that is free at its start."""
    free_at: list[float] = []
    for one in nodes:
        if one.start is None or one.end is None:
            yield one
            continue
        free = (number for number, end in enumerate(free_at) if end <= one.start)
        thread = next(free, len(free_at))
        free_at[thread : thread + 1] = [one.end]
        yield replace(one, thread=thread + 1)


class LogClock:
    """Counts the seconds since the first line of a log that has times of day."""

    def __init__(self) -> None:
        self._first: float | None = None
        self._last = 0.0  # seconds since the first
        self._started_at: datetime | None = None  # the step of the first

    def read(self, line: str, started_at: datetime | None) -> float | None:
        """Return the line's seconds, by default those of the line before; None without any."""
        if found := CLOCK.match(line):
            of_day = _of_day(*map(float, found.groups()))
            if self._first is None:
                self._first, self._started_at = of_day, started_at
            after_last = (of_day - self._first - self._last + DAY / 2) % DAY - DAY / 2
            self._last = max(self._last, self._last + after_last)
        return None if self._first is None else self._last

    def at(self, now: datetime) -> float | None:
        """Return the seconds of a time, in whatever time zone the log is."""
        if self._first is None or self._started_at is None:
            return None if self._first is None else self._last
        now = now.astimezone(UTC)
        seconds = _of_day(now.hour, now.minute, now.second) - self._first
        about = (now - self._started_at).total_seconds()
        return max(self._last, seconds - round((seconds - about) / ZONES) * ZONES)


def _of_day(hours: float, minutes: float, seconds: float) -> float:
    return hours * HOUR + minutes * 60 + seconds

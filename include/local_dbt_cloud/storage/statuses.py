"""Run statuses and their allowed transitions (CONTRACT.md, section 2)."""

from __future__ import annotations

from enum import IntEnum


class Status(IntEnum):
    """The only six integers that dbt Cloud reports for a run or a step."""

    QUEUED = 1
    STARTING = 2
    RUNNING = 3
    SUCCESS = 10
    ERROR = 20
    CANCELLED = 30

    @property
    def humanized(self) -> str:
        return self.name.capitalize()

    @property
    def is_complete(self) -> bool:
        return self in FINISHED


ACTIVE = frozenset({Status.QUEUED, Status.STARTING, Status.RUNNING})
FINISHED = frozenset({Status.SUCCESS, Status.ERROR, Status.CANCELLED})

TRANSITIONS: dict[Status, frozenset[Status]] = {
    Status.QUEUED: frozenset({Status.STARTING, Status.CANCELLED}),
    Status.STARTING: frozenset({Status.RUNNING, Status.ERROR, Status.CANCELLED}),
    Status.RUNNING: FINISHED,
    Status.SUCCESS: frozenset(),
    Status.ERROR: frozenset(),
    Status.CANCELLED: frozenset(),
}

# The timestamp that a status sets.
TIMESTAMPS: dict[Status, str] = {
    Status.STARTING: "dequeued_at",
    Status.RUNNING: "started_at",
    Status.SUCCESS: "finished_at",
    Status.ERROR: "finished_at",
    Status.CANCELLED: "finished_at",
}

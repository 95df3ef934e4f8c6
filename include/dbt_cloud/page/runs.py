"""Runs as the page shows them: those that dbt Cloud lists, and those that are kept."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ..api.loose_json import identifier, moment, record, text
from ..api.runs import status_in_words
from .started_by import DagRun

ACTIVE = ("queued", "starting", "running")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Run:
    """``seconds`` is how long it ran, or has run until now; None before it began.

    ``queued_seconds`` is how long it waited before that; None if dbt Cloud does not say.
    """

    id: int
    job_id: int
    job_name: str
    project_id: int
    state: str
    started_at: datetime | None
    queued_seconds: float | None
    seconds: float | None
    cause: str
    message: str
    url: str
    dag_run: DagRun | None = None

    @classmethod
    def of(cls, run: dict[str, Any], dag_runs: dict[int, DagRun]) -> Run:
        """``run`` is one that can be shown; what else is missing or odd in it is empty."""
        url = text(run.get("href"))
        state = status_in_words(run.get("status"))
        started_at = moment(run.get("started_at"))
        end = datetime.now(UTC) if state in ACTIVE else moment(run.get("finished_at"))
        return cls(
            id=run["id"],
            job_id=run["job_definition_id"],
            job_name=text(record(run.get("job")).get("name")),
            project_id=identifier(run.get("project_id")) or 0,
            state=state,
            started_at=started_at,
            queued_seconds=_between(moment(run.get("created_at")), started_at or end),
            seconds=_between(started_at, end),
            cause=text(record(run.get("trigger")).get("cause")),
            message=text(run.get("status_message")),
            # A browser follows other addresses too, such as javascript:
            url=url if url.startswith("https://") else "",
            dag_run=dag_runs.get(run["id"]),
        )

    @property
    def is_active(self) -> bool:
        return self.state in ACTIVE

    @property
    def took(self) -> str:
        return "" if self.seconds is None else in_words(self.seconds)

    @property
    def queued(self) -> str:
        return "" if self.queued_seconds is None else in_words(self.queued_seconds)


def that_can_be_shown(runs: Iterable[Any]) -> list[dict[str, Any]]:
    """Without those that lack their numbers, which the log names."""
    found = []
    for run in runs:
        names = ("id", "job_definition_id")
        if all(identifier(record(run).get(name)) for name in names):
            found.append(run)
        else:
            log.warning("A run cannot be shown, since it lacks its numbers: %.200r", run)
    return found


def newest_first(*lists: Iterable[Any]) -> list[dict[str, Any]]:
    """Each run that can be shown once, as the first list that has it tells it."""
    found: dict[int, dict[str, Any]] = {}
    for runs in lists:
        for run in that_can_be_shown(runs):
            found.setdefault(run["id"], run)
    return [found[run_id] for run_id in sorted(found, reverse=True)]


def in_words(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def _between(start: datetime | None, end: datetime | None) -> float | None:
    """Seconds; 0 if a clock was set back meanwhile."""
    return max(0.0, (end - start).total_seconds()) if start and end else None

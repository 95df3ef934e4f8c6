"""Runs on the page: those that dbt Cloud lists, and stored ones."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ..api.loose_json import identifier, moment, record, text
from ..api.runs import status_name
from ..run.idempotency_key import without_key
from .started_by import DagRun, starter_of

ACTIVE = ("queued", "starting", "running")
SHAPES = {state: state for state in ("success", "error", "cancelled", "running", "queued")} | {
    "starting": "queued"
}
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Run:
    """A run on the page.

    ``seconds`` is its run time until its end or now; None before its start. ``queued_seconds`` is
    the time before its start; None if unavailable. ``starter`` started it if no Dag run did.
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
    starter: str = ""
    environment_id: int = 0

    @classmethod
    def of(cls, run: dict[str, Any], dag_runs: dict[int, DagRun]) -> Run:
        """Return a run that has valid ids; other invalid fields are empty."""
        url = text(run.get("href"))
        trigger = record(run.get("trigger"))
        state = status_name(run.get("status"))
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
            cause=without_key(text(trigger.get("cause"))),
            message=text(run.get("status_message")),
            # Other schemes, such as javascript:, are unsafe
            url=url if url.startswith("https://") else "",
            dag_run=dag_runs.get(run["id"]),
            starter=starter_of(trigger),
            environment_id=identifier(run.get("environment_id")) or 0,
        )

    @property
    def is_active(self) -> bool:
        return self.state in ACTIVE

    @property
    def shape(self) -> str:
        """Return the name of the shape that marks the state; several states share one."""
        return SHAPES.get(self.state, "other")

    @property
    def summary(self) -> str:
        return ", ".join(filter(None, (f"Run {self.id}: {self.state}", self.took)))

    @property
    def final_seconds(self) -> float | None:
        """Return the run time of a finished run; None if it is active or never started."""
        return None if self.is_active else self.seconds

    @property
    def took(self) -> str:
        return "" if self.seconds is None else duration_text(self.seconds)

    @property
    def queued(self) -> str:
        return "" if self.queued_seconds is None else duration_text(self.queued_seconds)


def that_can_be_shown(runs: Iterable[Any]) -> list[dict[str, Any]]:
    """Return the runs with valid ids; log the others."""
    found = []
    for run in runs:
        names = ("id", "job_definition_id")
        if all(identifier(record(run).get(name)) for name in names):
            found.append(run)
        else:
            log.warning("Skipped a run without valid ids: %.200r", run)
    return found


def newest_first(*lists: Iterable[Any]) -> list[dict[str, Any]]:
    """Return each run once, from the first list that has it, newest first."""
    found: dict[int, dict[str, Any]] = {}
    for runs in lists:
        for run in that_can_be_shown(runs):
            found.setdefault(run["id"], run)
    return [found[run_id] for run_id in sorted(found, reverse=True)]


def duration_text(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def _between(start: datetime | None, end: datetime | None) -> float | None:
    """Return the seconds between two times; 0 if a clock was set back."""
    return max(0.0, (end - start).total_seconds()) if start and end else None

"""Runs as the page shows them: those that dbt Cloud lists, and those that are kept."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ..runs import status_in_words
from .started_by import DagRun


@dataclass(frozen=True)
class Run:
    """``seconds`` is how long it ran, or has run until now; None before it began."""

    id: int
    job_id: int
    job_name: str
    project_id: int
    state: str
    created_at: datetime
    seconds: float | None
    cause: str
    message: str
    url: str
    dag_run: DagRun | None = None

    @classmethod
    def of(cls, run: dict[str, Any], dag_runs: dict[int, DagRun]) -> Run:
        url = run["href"]
        return cls(
            id=run["id"],
            job_id=run["job_definition_id"],
            job_name=(run.get("job") or {}).get("name") or f"Job {run['job_definition_id']}",
            project_id=run["project_id"],
            state=status_in_words(run["status"]),
            created_at=datetime.fromisoformat(run["created_at"]),
            seconds=_seconds(run),
            cause=(run.get("trigger") or {}).get("cause") or "",
            message=run.get("status_message") or "",
            # A browser follows other addresses too, such as javascript:
            url=url if url.startswith("https://") else "",
            dag_run=dag_runs.get(run["id"]),
        )

    @property
    def is_active(self) -> bool:
        return self.state in ("queued", "starting", "running")

    @property
    def took(self) -> str:
        return "" if self.seconds is None else in_words(self.seconds)


def newest_first(*lists: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each run once, as the first list that has it tells it."""
    found: dict[int, dict[str, Any]] = {}
    for runs in lists:
        for run in runs:
            found.setdefault(run["id"], run)
    return [found[run_id] for run_id in sorted(found, reverse=True)]


def in_words(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def _seconds(run: dict[str, Any]) -> float | None:
    if not run["started_at"]:
        return None
    end = run["finished_at"]
    until = datetime.fromisoformat(end) if end else datetime.now(UTC)
    return max(0.0, (until - datetime.fromisoformat(run["started_at"])).total_seconds())

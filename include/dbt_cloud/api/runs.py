"""Runs of dbt Cloud jobs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudJobRunStatus as Status

from .client import DbtCloudClient

PAGE = 100  # dbt Cloud's maximum per list call
MAX_PAGES = 20  # runs of one job are serial: active ones are never further back
CLOCK_SKEW = timedelta(days=1)  # maximum between Airflow and dbt Cloud
DATABASE_CLOCK_SKEW = timedelta(hours=1)  # maximum between Airflow's database and dbt Cloud


@dataclass(frozen=True)
class Run:
    """A run of a job.

    ``resumes`` is the id of the failed run that it resumes. ``is_triggered`` is true if the end of
    another job's run started it.
    """

    id: int
    status: int
    url: str
    cause: str
    is_rerun: bool
    resumes: int | None
    created_at: datetime
    is_triggered: bool = False

    @classmethod
    def of(cls, data: dict[str, Any]) -> Run:
        trigger = data.get("trigger") or {}
        return cls(
            id=data["id"],
            status=data["status"],
            url=data["href"],
            cause=trigger.get("cause") or "",
            is_rerun=trigger.get("cause_category") == "rerun",
            resumes=data.get("retrying_run_id"),
            created_at=datetime.fromisoformat(data["created_at"]),
            is_triggered=trigger.get("cause_category") == "job completion",
        )

    @property
    def is_active(self) -> bool:
        return self.status not in Status.TERMINAL_STATUSES.value

    @property
    def is_resumed(self) -> bool:
        """Return whether the run resumes a failed one."""
        return self.is_rerun or self.resumes is not None

    @property
    def has_succeeded(self) -> bool:
        return self.status == Status.SUCCESS.value

    @property
    def has_failed(self) -> bool:
        return self.status == Status.ERROR.value


def status_name(status: int | None) -> str:
    """Return the status in lower case, such as ``running``; keep unknown numbers."""
    try:
        return Status(status).name.lower()
    except ValueError:
        return f"in status {status}"


def runs_of_job(client: DbtCloudClient, job_id: int) -> Iterator[Run]:
    """Yield the job's runs, newest first; runs that start meanwhile shift pages, but hide none."""
    listed = client.pages(
        "runs/",
        PAGE,
        MAX_PAGES,
        job_definition_id=job_id,
        order_by="-id",
        include_related="trigger",
    )
    return map(Run.of, listed)

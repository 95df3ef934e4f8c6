"""dbt Cloud runs, and which of them belong to one task."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Any

from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudJobRunStatus as Status

from .client import DbtCloudClient
from .idempotency_key import IdempotencyKey

PAGE = 100  # the most that dbt Cloud lists in one call
CLOCK_SKEW = timedelta(days=1)  # at most, between Airflow and dbt Cloud
MAX_PAGES = 20  # runs of one job are serial: what is active is never further back


@dataclass(frozen=True)
class Run:
    """What matters of a run. ``resumes`` is the id of the failed run that it resumes."""

    id: int
    status: int
    url: str
    cause: str
    is_rerun: bool
    resumes: int | None
    created_at: datetime

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
        )

    @property
    def is_active(self) -> bool:
        return self.status not in Status.TERMINAL_STATUSES.value

    @property
    def is_resumed(self) -> bool:
        """Whether it goes on where another run failed, whoever asked for that."""
        return self.is_rerun or self.resumes is not None

    @property
    def has_succeeded(self) -> bool:
        return self.status == Status.SUCCESS.value

    @property
    def has_failed(self) -> bool:
        return self.status == Status.ERROR.value


def status_in_words(status: int | None) -> str:
    """Numbers that dbt Cloud may add one day stay numbers."""
    try:
        return Status(status).name.lower()
    except ValueError:
        return f"in status {status}"


def runs_of_task(
    client: DbtCloudClient,
    job_id: int,
    key: IdempotencyKey,
    since: datetime,
    failed: Run | None = None,
    ignored: int = 0,
) -> list[Run]:
    """The runs that any try of the task started, oldest first, and ``failed`` that it finishes.

    Without those up to the id ``ignored``. None is older than ``since`` by Airflow's clock.
    """
    since -= CLOCK_SKEW
    start = min(since, failed.created_at) if failed else since
    runs = takewhile(lambda run: run.created_at >= start, runs_of_job(client, job_id))
    return chain(reversed(list(runs)), str(key), failed, ignored)


def runs_of_job(client: DbtCloudClient, job_id: int) -> Iterator[Run]:
    """Newest first. A run that begins meanwhile moves pages on, so that none is missed."""
    listed = client.pages(
        "runs/",
        PAGE,
        MAX_PAGES,
        job_definition_id=job_id,
        order_by="-id",
        include_related="trigger",
    )
    return map(Run.of, listed)


def chain(runs: Iterable[Run], key: str, failed: Run | None = None, ignored: int = 0) -> list[Run]:
    """Of a job's runs, oldest first, those with a key, ``failed``, and their resumes.

    A resumed run's cause is dbt Cloud's own. It is known by ``retrying_run_id``; should the service
    leave that out, by its place: only a job's newest run can be resumed, so a rerun resumes the
    failed run right before it. Each run that is returned names the one that it resumes.
    """
    found = {failed.id: failed} if failed else {}
    before: Run | None = None
    for run in runs:
        resumes = run.resumes
        if resumes is None and run.is_rerun and before and before.has_failed:
            resumes = before.id
        if (run.id > ignored and key in run.cause) or resumes in found:
            found[run.id] = replace(run, resumes=resumes)
        before = run
    return sorted(found.values(), key=lambda run: run.id)

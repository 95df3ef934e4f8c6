"""Which runs of a job belong to one task."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import takewhile

from ..api.client import DbtCloudClient
from ..api.runs import Run, runs_of_job
from .idempotency_key import IdempotencyKey

CLOCK_SKEW = timedelta(days=1)  # at most, between Airflow and dbt Cloud


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

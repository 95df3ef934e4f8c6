"""Find the runs of a job that belong to one task."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from itertools import takewhile

from ..api.client import DbtCloudClient
from ..api.runs import CLOCK_SKEW, Run, runs_of_job
from .idempotency_key import IdempotencyKey


def runs_of_task(
    client: DbtCloudClient,
    job_id: int,
    key: IdempotencyKey,
    since: datetime,
    failed: Run | None = None,
    ignored: int = 0,
) -> list[Run]:
    """Return the runs that the task's tries started, and the ``failed`` one, oldest first.

    Skip runs up to the id ``ignored``, and runs before ``since`` by Airflow's clock.
    """
    since -= CLOCK_SKEW
    start = min(since, failed.created_at) if failed else since
    runs = takewhile(lambda run: run.created_at >= start, runs_of_job(client, job_id))
    return chain(reversed(list(runs)), str(key), failed, ignored)


def chain(runs: Iterable[Run], key: str, failed: Run | None = None, ignored: int = 0) -> list[Run]:
    """Return the runs with a key, ``failed``, and the runs that resume these, oldest first.

    A resuming run has dbt Cloud's own cause, and is identified by ``retrying_run_id``. If that is
    missing, a rerun resumes the failed run right before it, since only a job's newest run can be
    resumed. ``resumes`` is set on each returned run.
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

"""Start jobs at the times of their schedules, in UTC."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from ..storage.runs import create_run
from ..storage.schedule import cron_of, next_time
from ..storage.schemas import RunRequest
from ..storage.statuses import Status
from ..storage.store import Store
from ..storage.tables import ACTIVE_STATE, JobRow, RunRow
from ..times import now
from .outcomes import SUPERSEDED, end_run

SCHEDULED_CATEGORY = "scheduled"
IS_SCHEDULED = RunRow.trigger["cause_category"].as_string() == SCHEDULED_CATEGORY
RESCAN_SECONDS = 5.0  # seconds between checks for jobs that were changed over the API
SCHEDULER_STOP_SECONDS = 1.0

log = logging.getLogger(__name__)


class Scheduler:
    """A thread that queues runs. It has no state: the runs record the times that were started.

    So the times missed while the server was down start a job once, not once each.
    """

    def __init__(self, store: Store, on_queued: Callable[[], None]) -> None:
        self._store = store
        self._on_queued = on_queued
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True, name="scheduler")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(SCHEDULER_STOP_SECONDS)

    def _work(self) -> None:
        seconds = 0.0
        while not self._stopping.wait(seconds):
            try:
                seconds = self._queue_due_runs()
            except Exception:
                log.exception("The scheduler failed; trying again in %.0f s", RESCAN_SECONDS)
                seconds = RESCAN_SECONDS

    def _queue_due_runs(self) -> float:
        """Queue due runs; return the seconds until the next check."""
        with self._store.read() as session:
            soonest = min((due for _, due in due_times(session)), default=None)
        seconds = (soonest - now()).total_seconds() if soonest else RESCAN_SECONDS
        if seconds > 0:
            return min(seconds, RESCAN_SECONDS)
        with self._store.write() as session:
            queue_due_runs(session, now())
        self._on_queued()
        return 0.0


def due_times(session: Session) -> list[tuple[JobRow, datetime]]:
    """Return each job that has a schedule, with its first time that has not started it yet."""
    scheduled = select(JobRow).where(
        JobRow.state == ACTIVE_STATE, JobRow.definition[("triggers", "schedule")].as_boolean()
    )
    times = ((job, _due_time(session, job)) for job in session.scalars(scheduled))
    return [(job, due) for job, due in times if due]


def queue_due_runs(session: Session, moment: datetime) -> None:
    """Queue each job that is due, and cancel its scheduled runs that are still queued.

    dbt Cloud does the same, so that a job slower than its schedule does not fill the queue
    (https://docs.getdbt.com/docs/deploy/job-scheduler).
    """
    for job, due in due_times(session):
        if due <= moment:
            for run in session.scalars(_waiting_runs(job)):
                end_run(session, run, SUPERSEDED)
            create_run(
                session, job, RunRequest(cause="scheduled"), cause_category=SCHEDULED_CATEGORY
            )


def _due_time(session: Session, job: JobRow) -> datetime | None:
    """Return the next time after the newest scheduled run or the job's last change."""
    newest = session.scalar(
        select(RunRow.created_at)
        .where(RunRow.job_id == job.id, IS_SCHEDULED)
        .order_by(RunRow.id.desc())
        .limit(1)
    )
    since = max(newest, job.updated_at) if newest else job.updated_at
    return next_time(cron_of(job.settings.schedule), since)


def _waiting_runs(job: JobRow) -> Select[RunRow]:
    return select(RunRow).where(
        RunRow.job_id == job.id, RunRow.status_code == Status.QUEUED, IS_SCHEDULED
    )

"""The final states of a run, and the jobs that its completion triggers."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from ..storage.runs import create_run, end_open_steps, move_run, started_runs
from ..storage.schemas import RunRequest
from ..storage.statuses import Status
from ..storage.tables import ACTIVE_STATE, JobRow, RunRow

COMPLETION_CATEGORY = "job completion"
AWAITED_JOB = JobRow.definition[("job_completion_trigger_condition", "condition", "job_id")]


@dataclass(frozen=True)
class Outcome:
    """The final status, and the reason unless the run succeeded."""

    status: Status
    message: str | None = None


SUCCEEDED = Outcome(Status.SUCCESS)
FAILED = Outcome(Status.ERROR, "dbt command failed")
CANCELLED = Outcome(Status.CANCELLED, "Cancelled by user.")
SUPERSEDED = Outcome(
    Status.CANCELLED,
    "A newer scheduled run of this job replaced it in the queue. "
    "Schedule the job less often than its runs take, or make it faster.",
)
SERVER_STOPPED = Outcome(
    Status.ERROR,
    "The local dbt Cloud was stopped while this run was active. "
    "Start it again, then run the job again.",
)
LOST = Outcome(
    Status.ERROR,
    "The local dbt Cloud could not store how this run ended, for example because of a full disk. "
    "Run the job again.",
)


# An interrupted step keeps no artifacts: only a failed step can be resumed.
NOTHING_TO_RESUME = "RETRY_NO_RUN_RESULTS"


class InterruptedRunError(Exception):
    """The run was ended by a user, its time limit, or the shutdown of the server."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome
        super().__init__(outcome.message)


def end_run(session: Session, run: RunRow, outcome: Outcome) -> None:
    """End a run with its open steps, and queue the jobs that its completion triggers."""
    move_run(run, outcome.status, outcome.message)
    end_open_steps(run, outcome.status, outcome.message or "")
    if outcome != FAILED:
        run.retry_not_supported_reason = NOTHING_TO_RESUME
    trigger_jobs_on_completion(session, run)


def end_abandoned_runs(session: Session, outcome: Outcome, active: Container[int] = ()) -> None:
    """End started runs that are not ``active``; queued runs stay queued."""
    for run in started_runs(session):
        if run.id not in active:
            end_run(session, run, outcome)


def trigger_jobs_on_completion(session: Session, ended: RunRow) -> None:
    """Queue every job whose completion trigger matches the ended run.

    In the transaction that ends the run, so that a crash neither loses nor repeats it. Pull
    request runs trigger nothing: they have not built the tables that the next job reads.
    """
    if ended.is_ci:
        return
    waiting = select(JobRow).where(
        JobRow.state == ACTIVE_STATE, AWAITED_JOB.as_integer() == ended.job_id
    )
    for job in session.scalars(waiting.order_by(JobRow.id)):
        awaited = job.settings.job_completion_trigger_condition
        if awaited is None or awaited.condition.project_id != ended.project_id:
            continue
        if ended.status_code in awaited.condition.statuses:
            cause = f"Run {ended.id} of job {ended.job_id} ended: {ended.status.humanized}"
            create_run(session, job, RunRequest(cause=cause), cause_category=COMPLETION_CATEGORY)

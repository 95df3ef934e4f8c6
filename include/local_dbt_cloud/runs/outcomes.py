"""What a run comes to, by itself or by somebody else, and which jobs its completion triggers."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from include.local_dbt_cloud.storage.runs import create_run, end_open_steps, move_run, started_runs
from include.local_dbt_cloud.storage.schemas import RunRequest
from include.local_dbt_cloud.storage.statuses import Status
from include.local_dbt_cloud.storage.tables import ACTIVE_STATE, JobRow, RunRow

CATEGORY = "job completion"
AWAITED_JOB = JobRow.definition[("job_completion_trigger_condition", "condition", "job_id")]


@dataclass(frozen=True)
class Outcome:
    """The final status, and why if not well."""

    status: Status
    message: str | None = None


SUCCEEDED = Outcome(Status.SUCCESS)
FAILED = Outcome(Status.ERROR, "dbt command failed")
CANCELLED = Outcome(Status.CANCELLED, "Cancelled by user.")
OVERTAKEN = Outcome(
    Status.CANCELLED,
    "A newer scheduled run of this job took its place in the queue. "
    "Schedule the job less often than its runs take, or make it faster.",
)
SERVER_STOPPED = Outcome(
    Status.ERROR,
    "The local dbt Cloud was stopped while this run was active. "
    "Start it again and run the job once more.",
)
LOST = Outcome(
    Status.ERROR,
    "The local dbt Cloud could not store how this run ended, for instance on a full disk. "
    "Run the job once more.",
)


# A step that was cut off kept no artifacts: only one that failed by itself can be resumed.
NOTHING_TO_RESUME = "RETRY_NO_RUN_RESULTS"


class InterruptedRunError(Exception):
    """Somebody ended the run: a user, its time limit, or the server on its way out."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome
        super().__init__(outcome.message)


def end_run(session: Session, run: RunRow, outcome: Outcome) -> None:
    """Ends a run with its open steps, and queues the jobs that waited for it."""
    move_run(run, outcome.status, outcome.message)
    end_open_steps(run, outcome.status, outcome.message or "")
    if outcome != FAILED:
        run.retry_not_supported_reason = NOTHING_TO_RESUME
    trigger_jobs_on_completion(session, run)


def end_abandoned_runs(session: Session, outcome: Outcome, at_work: Container[int] = ()) -> None:
    """Ends what has left the queue and is not ``at_work``; what is queued stays queued."""
    for run in started_runs(session):
        if run.id not in at_work:
            end_run(session, run, outcome)


def trigger_jobs_on_completion(session: Session, ended: RunRow) -> None:
    """Queues every job that waits for a run of this job to end with this status.

    In the transaction that ends the run, so that a crash neither forgets nor repeats it. Runs
    for pull requests start nothing: their job has not built what the next one would read.
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
            create_run(session, job, RunRequest(cause=cause), cause_category=CATEGORY)

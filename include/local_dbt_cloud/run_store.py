"""How runs change: made, moved from status to status, searched for what may start next."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from include.local_dbt_cloud.definitions import RunRequest
from include.local_dbt_cloud.rows import JobRow, RunRow, StepRow
from include.local_dbt_cloud.statuses import ACTIVE, TIMESTAMPS, TRANSITIONS, Status
from include.local_dbt_cloud.times import now

CANCELLED_BY_USER = "Cancelled by user."
STOPPED = (
    "The local dbt Cloud was stopped while this run was active. "
    "Start it again and run the job once more."
)


def create_run(session: Session, job: JobRow, request: RunRequest, **columns: object) -> RunRow:
    """A new run of ``job``, queued, with the job as it is now."""
    run = RunRow(
        account_id=job.account_id,
        project_id=job.project_id,
        environment_id=job.environment_id,
        job_id=job.id,
        trigger=request.model_dump(mode="json"),
        job_definition=job.definition,
        **columns,
    )
    session.add(run)
    session.flush()
    return run


def move_run(run: RunRow, status: Status, message: str | None = None) -> None:
    """Brings a run to its next status; raises ValueError if it cannot come from where it is."""
    if status not in TRANSITIONS[run.status]:
        raise ValueError(f"run {run.id} cannot go from {run.status.name} to {status.name}")
    run.status_code = int(status)
    run.status_message = message
    setattr(run, TIMESTAMPS[status], now())


def end_step(step: StepRow, status: Status, message: str | None = None) -> None:
    step.status_code = int(status)
    step.status_message = message
    step.finished_at = now()


def end_open_steps(run: RunRow, status: Status, message: str) -> None:
    for step in run.steps:
        if not step.status.is_complete:
            end_step(step, status, message)


def claim_next_run(session: Session) -> RunRow | None:
    """The oldest queued run whose job is idle, moved to Starting."""
    busy = select(RunRow.job_id).where(RunRow.status_code.in_([Status.STARTING, Status.RUNNING]))
    run = session.scalar(
        select(RunRow)
        .where(RunRow.status_code == Status.QUEUED, RunRow.job_id.not_in(busy))
        .order_by(RunRow.id)
        .limit(1)
    )
    if run:
        move_run(run, Status.STARTING)
    return run


def end_interrupted_runs(session: Session) -> None:
    """After a crash: what was being run is in error; what was queued still is."""
    started = [int(status) for status in ACTIVE - {Status.QUEUED}]
    for run in session.scalars(select(RunRow).where(RunRow.status_code.in_(started))):
        # Not a transition: nobody is left to make one.
        run.status_code = int(Status.ERROR)
        run.status_message = STOPPED
        run.finished_at = now()
        end_open_steps(run, Status.ERROR, STOPPED)


def newest_run_id(session: Session, job_id: int) -> int | None:
    return session.scalar(
        select(RunRow.id).where(RunRow.job_id == job_id).order_by(RunRow.id.desc()).limit(1)
    )

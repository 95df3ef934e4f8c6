"""How runs change: made, moved from status to status, searched for what may start next."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session, aliased

from include.local_dbt_cloud.storage.schemas import RunRequest
from include.local_dbt_cloud.storage.statuses import TIMESTAMPS, TRANSITIONS, Status
from include.local_dbt_cloud.storage.tables import JobRow, RunRow, StepRow
from include.local_dbt_cloud.times import now

STARTED = (int(Status.STARTING), int(Status.RUNNING))


def create_run(
    session: Session,
    job: JobRow,
    request: RunRequest,
    cause_category: str | None = None,
    **columns: object,
) -> RunRow:
    """A new run of ``job``, queued, with the job as it is now."""
    category = {"cause_category": cause_category} if cause_category else {}
    run = RunRow(
        account_id=job.account_id,
        project_id=job.project_id,
        environment_id=job.environment_id,
        job_id=job.id,
        trigger=request.model_dump(mode="json") | category,
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


def claim_next_run(session: Session, ci: bool) -> RunRow | None:
    """The oldest queued run, moved to Starting: ``ci`` asks for one of a pull request.

    Runs of one job follow one another, and so do those of one pull request.
    """
    started = aliased(RunRow)
    same_schema = started.pull_request.is_not_distinct_from(RunRow.pull_request)
    is_busy = exists().where(
        started.status_code.in_(STARTED), started.job_id == RunRow.job_id, same_schema
    )
    kind = RunRow.pull_request.is_not(None) if ci else RunRow.pull_request.is_(None)
    run = session.scalar(
        select(RunRow)
        .where(RunRow.status_code == Status.QUEUED, kind, ~is_busy)
        .order_by(RunRow.id)
        .limit(1)
    )
    if run:
        move_run(run, Status.STARTING)
    return run


def started_runs(session: Session) -> Sequence[RunRow]:
    """Runs that have left the queue and not ended."""
    return session.scalars(select(RunRow).where(RunRow.status_code.in_(STARTED))).all()


def newest_run_id(session: Session, job_id: int) -> int | None:
    return session.scalar(
        select(RunRow.id).where(RunRow.job_id == job_id).order_by(RunRow.id.desc()).limit(1)
    )


def newest_run_ids(session: Session, job_ids: Collection[int]) -> dict[int, int]:
    """Job → its newest run, for the jobs that have one."""
    # One look into the index per job; grouping would read every run that they ever had.
    newest = select(func.max(RunRow.id)).where(RunRow.job_id == JobRow.id).scalar_subquery()
    statement = select(JobRow.id, newest).where(JobRow.id.in_(job_ids), newest.is_not(None))
    return {row[0]: row[1] for row in session.execute(statement)} if job_ids else {}

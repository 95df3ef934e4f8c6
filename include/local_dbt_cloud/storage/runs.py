"""How runs change: created, moved from status to status, and selected for execution."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session, aliased

from ..times import now
from .schemas import Environment, Job, RunRequest
from .statuses import TIMESTAMPS, TRANSITIONS, Status
from .tables import JobRow, RunRow, StepRow

STARTED_STATUSES = (int(Status.STARTING), int(Status.RUNNING))


def create_run(
    session: Session,
    job: JobRow,
    request: RunRequest,
    cause_category: str | None = None,
    **columns: object,
) -> RunRow:
    """Create a queued run of ``job``, with the job's current definition."""
    environment = Environment.model_validate(job.environment.definition)
    category = {"cause_category": cause_category} if cause_category else {}
    run = RunRow(
        account_id=job.account_id,
        project_id=job.project_id,
        environment_id=job.environment_id,
        job_id=job.id,
        trigger=request.model_dump(mode="json") | category,
        job_definition=job.definition,
        dbt_version=effective_version(environment, job.settings, request),
        **columns,
    )
    session.add(run)
    session.flush()
    return run


def effective_version(environment: Environment, job: Job, request: RunRequest) -> str:
    """Return the dbt version of the trigger, else of the job, else of its environment.

    The version that runs replaces it when the run starts (CONTRACT.md, section 3.3).
    """
    return request.dbt_version_override or job.dbt_version or environment.dbt_version


def move_run(run: RunRow, status: Status, message: str | None = None) -> None:
    """Move a run to a status; raise ValueError if the transition is not allowed."""
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
    """Move the oldest queued run to Starting and return it; ``ci`` selects pull requests.

    Runs of one job run one at a time, and so do those of one pull request.
    """
    started = aliased(RunRow)
    same_schema = started.pull_request.is_not_distinct_from(RunRow.pull_request)
    is_busy = exists().where(
        started.status_code.in_(STARTED_STATUSES), started.job_id == RunRow.job_id, same_schema
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
    """Return the runs that have left the queue and not ended."""
    return session.scalars(select(RunRow).where(RunRow.status_code.in_(STARTED_STATUSES))).all()


def newest_run_id(session: Session, job_id: int) -> int | None:
    return session.scalar(
        select(RunRow.id).where(RunRow.job_id == job_id).order_by(RunRow.id.desc()).limit(1)
    )


def newest_run_ids(session: Session, job_ids: Collection[int]) -> dict[int, int]:
    """Return job id → id of its newest run, for the jobs that have runs."""
    # One index lookup per job; grouping would read all runs of the jobs.
    newest = select(func.max(RunRow.id)).where(RunRow.job_id == JobRow.id).scalar_subquery()
    statement = select(JobRow.id, newest).where(JobRow.id.in_(job_ids), newest.is_not(None))
    return {row[0]: row[1] for row in session.execute(statement)} if job_ids else {}

"""Reruns of a job: from the failed step of its newest run if possible, else from the start.

CONTRACT.md, section 3.6, describes dbt Cloud's behaviour.
"""

from __future__ import annotations

from sqlalchemy.orm import Session

from ..storage.runs import create_run, newest_run_id
from ..storage.schemas import RunRequest
from ..storage.statuses import Status
from ..storage.tables import JobRow, RunRow
from .steps import Step, plan, plan_retry

RERUN_CAUSE = "Rerun by API"


def create_rerun(session: Session, job: JobRow) -> RunRow:
    """Create a run of ``job``; it resumes the newest run if that run can be retried."""
    newest = session.get(RunRow, newest_run_id(session, job.id) or 0)
    if newest and retry_not_supported_reason(newest, is_newest=True) is None:
        return create_retry(session, newest)
    return create_run(session, job, RunRequest(cause=RERUN_CAUSE))


def create_retry(session: Session, failed: RunRow) -> RunRow:
    """Create a run with the configuration of the failed one."""
    request = RunRequest.model_validate(failed.trigger)
    retry = create_run(session, failed.job, request, retrying_run_id=failed.id)
    retry.job_definition = failed.job_definition
    return retry


def plan_of(session: Session, run: RunRow, connection: str = "") -> list[Step]:
    """Return all steps of a run; a retry has those of the original run from the failed one on.

    ``connection`` is for the name of the second step.
    """
    if run.retrying_run_id is None:
        return plan(run.job_settings, RunRequest.model_validate(run.trigger), connection)
    previous = session.get_one(RunRow, run.retrying_run_id)
    return plan_retry(plan_of(session, previous, connection), failed_index(previous))


def steps_to_retry(session: Session, run: RunRow) -> list[Step]:
    """Return the failed step of a run and all that were skipped after it."""
    return plan_of(session, run)[failed_index(run) - 1 :]


def failed_index(run: RunRow) -> int:
    """Return the number, from 1, of the step that ended the run: the last one in error."""
    return max(step.index for step in run.steps if step.status is Status.ERROR)


def retry_not_supported_reason(run: RunRow, is_newest: bool) -> str | None:
    """Return why this run cannot be retried from its failed step; None if it can."""
    if run.status is not Status.ERROR:
        return "RETRY_NOT_FAILED_RUN"
    if not is_newest:
        return "RETRY_NOT_LATEST_RUN"
    if not run.artifacts_saved:
        return "RETRY_NO_RUN_RESULTS"
    return run.retry_not_supported_reason

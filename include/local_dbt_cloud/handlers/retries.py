"""Retrying one failed run: what would run again, and running it."""

from __future__ import annotations

from fastapi.responses import JSONResponse
from sqlalchemy.orm import Session

from include.local_dbt_cloud.call import Call, PathId
from include.local_dbt_cloud.envelope import success
from include.local_dbt_cloud.errors import InvalidRequestError, NotFoundError
from include.local_dbt_cloud.handlers.runs import created_run, find_run
from include.local_dbt_cloud.payloads.runs import retry_obstacle
from include.local_dbt_cloud.retries import create_retry, steps_to_retry
from include.local_dbt_cloud.rows import RunRow
from include.local_dbt_cloud.run_store import newest_run_id


def get_retry(call: Call, run_id: PathId) -> JSONResponse:
    """Names the failed step and those that were skipped; 404 for a run that cannot be retried."""
    with call.server.store.read() as session:
        run = find_run(session, call, run_id)
        if obstacle(session, run):
            raise NotFoundError
        failed, *skipped = (step.name for step in steps_to_retry(session, run))
    return success({"failed_step": failed, "skipped_steps": skipped})


def retry_run(call: Call, run_id: PathId) -> JSONResponse:
    """Queues a run that resumes exactly this one; the reason is in the answer if it cannot be."""
    with call.server.store.write() as session:
        run = find_run(session, call, run_id)
        reason = obstacle(session, run)
        if reason:
            message = f"Run {run_id} cannot be retried: {reason}."
            raise InvalidRequestError(message, data={"retry_not_supported_reason": reason})
        answer = created_run(session, call, create_retry(session, run))
    call.server.runner.wake()
    return success(answer)


def obstacle(session: Session, run: RunRow) -> str | None:
    return retry_obstacle(run, is_newest=newest_run_id(session, run.job_id) == run.id)

"""Jobs that start when another one has ended: ``job_completion_trigger_condition``."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from include.local_dbt_cloud.definitions import RunRequest
from include.local_dbt_cloud.rows import ACTIVE_STATE, JobRow, RunRow
from include.local_dbt_cloud.run_store import create_run

CATEGORY = "job completion"
AWAITED_JOB = JobRow.definition[("job_completion_trigger_condition", "condition", "job_id")]


def queue_follow_ups(session: Session, ended: RunRow) -> None:
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
        if awaited and ended.status_code in awaited.condition.statuses:
            cause = f"Run {ended.id} of job {ended.job_id} ended: {ended.status.humanized}"
            create_run(session, job, RunRequest(cause=cause), cause_category=CATEGORY)

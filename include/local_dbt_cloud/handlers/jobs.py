"""Jobs: list, get, run, rerun."""

from __future__ import annotations

from fastapi.responses import JSONResponse
from sqlalchemy import select
from sqlalchemy.orm import Session

from include.local_dbt_cloud.bodies import Body
from include.local_dbt_cloud.call import ApiCall, Call, PathId
from include.local_dbt_cloud.definitions import RunRequest
from include.local_dbt_cloud.envelope import success
from include.local_dbt_cloud.errors import NotFoundError
from include.local_dbt_cloud.handlers.runs import created_run
from include.local_dbt_cloud.payloads.jobs import job_payload
from include.local_dbt_cloud.query import Listing, contains, equals, within
from include.local_dbt_cloud.retries import create_rerun
from include.local_dbt_cloud.rows import ACTIVE_STATE, JobRow
from include.local_dbt_cloud.run_store import create_run
from include.local_dbt_cloud.store import page_of

LISTING = Listing(
    filters={
        "project_id": equals(JobRow.project_id),
        "project_id__in": within(JobRow.project_id),
        "environment_id": equals(JobRow.environment_id),
        "name__icontains": contains(JobRow.name),
        "pk": equals(JobRow.id),
    },
    order={
        "id": JobRow.id,
        "name": JobRow.name,
        "created_at": JobRow.created_at,
        "updated_at": JobRow.updated_at,
    },
    state=JobRow.state,
)


def list_jobs(call: Call) -> JSONResponse:
    query = call.list_query(LISTING)
    statement = select(JobRow).where(JobRow.account_id == call.account_id)
    with call.server.store.read() as session:
        page = page_of(session, statement, query)
        jobs = [job_payload(row, call.include) for row in page.rows]
    return success(jobs, query.extra(len(jobs), page.total))


def get_job(call: Call, job_id: PathId) -> JSONResponse:
    with call.server.store.read() as session:
        return success(job_payload(find_job(session, call, job_id), call.include))


def trigger_run(call: Call, job_id: PathId, body: Body) -> JSONResponse:
    """Queues a run; the answer embeds its trigger and job."""
    request = body.parse(RunRequest)
    with call.server.store.write() as session:
        run = create_run(session, find_job(session, call, job_id), request)
        answer = created_run(session, call, run)
    call.server.runner.wake()
    return success(answer)


def rerun_job(call: Call, job_id: PathId) -> JSONResponse:
    """Retries the newest run if it failed and can be, else queues a fresh run."""
    with call.server.store.write() as session:
        run = create_rerun(session, find_job(session, call, job_id))
        answer = created_run(session, call, run)
    call.server.runner.wake()
    return success(answer)


def find_job(session: Session, call: ApiCall, job_id: int) -> JobRow:
    """Raises NotFoundError for unknown and for deleted jobs."""
    job = session.get(JobRow, job_id)
    if not job or job.state != ACTIVE_STATE:
        raise NotFoundError
    return job

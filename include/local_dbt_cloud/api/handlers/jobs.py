"""Jobs: list, get, create, update, delete, run, rerun."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from fastapi.responses import JSONResponse
from sqlalchemy import func, literal, select
from sqlalchemy.orm import Session

from ...runs.retries import create_rerun
from ...storage.changes import define, find_active, next_id, set_state
from ...storage.runs import create_run
from ...storage.schemas import Job, RunRequest
from ...storage.statuses import FINISHED, Status
from ...storage.tables import (
    ACTIVE_STATE,
    DELETED_STATE,
    EnvironmentRow,
    EnvironmentVariableRow,
    JobRow,
    ProjectRow,
    RunRow,
)
from ...storage.without_effect import fields_without_effect
from ..dependencies import ApiCall, Call, PathId
from ..envelope import success
from ..errors import InvalidRequestError, NotFoundError
from ..payloads.jobs import job_payload
from ..payloads.variables import variable_payload
from ..query import (
    Listing,
    contains,
    equals,
    is_true,
    page_of,
    text_within,
    within,
)
from ..request_body import Body, RequestBody
from ..request_schemas import JobRequest, fields_of
from .runs import created_run, describe_runs

DEFINED = JobRow.definition
LISTING = Listing(
    filters={
        "project_id": equals(JobRow.project_id),
        "project_id__in": within(JobRow.project_id),
        "environment_id": equals(JobRow.environment_id),
        "name__icontains": contains(JobRow.name),
        "triggers_schedule": is_true(DEFINED[("triggers", "schedule")].as_boolean()),
        "dbt_version__in": text_within(DEFINED["dbt_version"].as_string()),
        "is_system": is_true(literal(False)),  # only dbt Cloud creates system jobs
        "pk": equals(JobRow.id),
        "pk__in": within(JobRow.id),
    },
    order={
        "id": JobRow.id,
        "name": JobRow.name,
        "created_at": JobRow.created_at,
        "updated_at": JobRow.updated_at,
    },
    state=JobRow.state,
    project=JobRow.project_id,
)
ANY = frozenset(Status)
NEWEST = {"most_recent_run": ANY, "most_recent_completed_run": FINISHED}


def list_jobs(call: Call) -> JSONResponse:
    query = call.list_query(LISTING)
    statement = select(JobRow).where(JobRow.account_id == call.account_id)
    with call.server.store.read() as session:
        page = page_of(session, statement, query)
        jobs = describe_jobs(session, call, page.rows)
    return success(jobs, query.extra(len(jobs), page.total))


def get_job(call: Call, job_id: PathId) -> JSONResponse:
    with call.server.store.read() as session:
        return success(describe_jobs(session, call, [find_job(session, call, job_id)])[0])


def parse_job(call: ApiCall, body: RequestBody) -> JobRequest:
    request = body.parse(JobRequest)
    for name in fields_without_effect(request):
        call.server.announce(name)
    return request


def create_job(call: Call, body: Body) -> JSONResponse:
    request = parse_job(call, body)
    with call.server.store.write() as session:
        check_references(session, call, request)
        row = JobRow(account_id=call.account_id)
        _apply(session, row, next_id(session, JobRow), request)
        session.add(row)
        session.flush()
        return success(describe_jobs(session, call, [row])[0], code=201)


def update_job(call: Call, job_id: PathId, body: Body) -> JSONResponse:
    """Replace the job; omitted fields get their defaults. State 2 deletes it."""
    request = parse_job(call, body)
    with call.server.store.write() as session:
        row = find_job(session, call, job_id)
        check_references(session, call, request)
        _apply(session, row, row.id, request)
        session.flush()
        return success(describe_jobs(session, call, [row])[0])


def delete_job(call: Call, job_id: PathId) -> JSONResponse:
    """Delete the job from lists, so that it cannot run again; its runs are kept."""
    with call.server.store.write() as session:
        row = find_job(session, call, job_id)
        set_state(session, row, DELETED_STATE)
        session.flush()
        return success(describe_jobs(session, call, [row])[0])


def check_references(session: Session, call: ApiCall, request: JobRequest) -> None:
    """Raise InvalidRequestError unless account, project and environment belong together."""
    call.check_account(request.account_id)
    call.check_project(request.project_id)
    environment = find_active(session, EnvironmentRow, request.environment_id)
    if find_active(session, ProjectRow, request.project_id) is None:
        message = f"project {request.project_id} does not exist"
        raise InvalidRequestError(data={"project_id": message})
    if environment is None or environment.project_id != request.project_id:
        message = f"project {request.project_id} has no environment {request.environment_id}"
        raise InvalidRequestError(data={"environment_id": message})
    check_deferral(session, request)


def check_deferral(session: Session, request: JobRequest) -> None:
    """Raise InvalidRequestError unless the deferral target exists in the job's project."""
    places: dict[str, type[EnvironmentRow] | type[JobRow]] = {
        "deferring_environment_id": EnvironmentRow,
        "deferring_job_definition_id": JobRow,
    }
    for field, row_type in places.items():
        target = getattr(request, field)
        found = find_active(session, row_type, target)
        if target is not None and (found is None or found.project_id != request.project_id):
            message = f"project {request.project_id} has no {row_type.__tablename__[:-1]} {target}"
            raise InvalidRequestError(data={field: message})


def _apply(session: Session, row: JobRow, job_id: int, request: JobRequest) -> None:
    define(row, Job(id=job_id, **fields_of(request)))
    row.project_id = request.project_id
    row.environment_id = request.environment_id
    set_state(session, row, request.state)


def trigger_run(call: Call, job_id: PathId, body: Body) -> JSONResponse:
    """Queue a run; the response embeds its trigger and job."""
    request = body.parse(RunRequest)
    with call.server.store.write() as session:
        run = create_run(session, find_job(session, call, job_id), request)
        response = created_run(session, call, run)
    call.server.runner.wake()
    return success(response)


def rerun_job(call: Call, job_id: PathId) -> JSONResponse:
    """Retry the newest run if possible, otherwise queue a new run."""
    with call.server.store.write() as session:
        run = create_rerun(session, find_job(session, call, job_id))
        response = created_run(session, call, run)
    call.server.runner.wake()
    return success(response)


def find_job(session: Session, call: ApiCall, job_id: int) -> JobRow:
    """Return the job; raise NotFoundError if it is unknown or deleted."""
    job = session.get(JobRow, job_id)
    if not job or job.state != ACTIVE_STATE:
        raise NotFoundError
    return job


def describe_jobs(session: Session, call: ApiCall, jobs: Sequence[JobRow]) -> list[dict[str, Any]]:
    """Return the payloads, with newest runs and own variables if the call requests them."""
    ids = [job.id for job in jobs]
    related: dict[int, dict[str, Any]] = {job_id: {} for job_id in ids}
    for name in call.include & NEWEST.keys():
        for run in _newest_runs(session, call, ids, NEWEST[name]):
            related[run["job_id"]][name] = run
    if "custom_environment_variables" in call.include:
        for job_id in ids:
            related[job_id]["custom_environment_variables"] = _variables(session, job_id)
    return [job_payload(job, call.include) | related[job.id] for job in jobs]


def _newest_runs(
    session: Session, call: ApiCall, job_ids: list[int], statuses: Collection[Status]
) -> list[dict[str, Any]]:
    """Return the newest run of each job among those with one of the statuses."""
    newest = (
        select(func.max(RunRow.id))
        .where(RunRow.job_id.in_(job_ids), RunRow.status_code.in_([int(one) for one in statuses]))
        .group_by(RunRow.job_id)
    )
    runs = session.scalars(select(RunRow).where(RunRow.id.in_(newest)))
    return describe_runs(session, call, runs, frozenset())


def _variables(session: Session, job_id: int) -> list[dict[str, Any]]:
    statement = select(EnvironmentVariableRow).where(
        EnvironmentVariableRow.job_definition_id == job_id
    )
    return [variable_payload(row) for row in session.scalars(statement)]

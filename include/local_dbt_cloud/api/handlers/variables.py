"""Environment variables of a project, its environments and its jobs, one value at a time."""

from __future__ import annotations

from typing import Any

from fastapi.responses import JSONResponse
from sqlalchemy import select
from sqlalchemy.orm import Session

from ...storage.changes import find_active
from ...storage.tables import (
    ACTIVE_STATE,
    DELETED_STATE,
    EnvironmentRow,
    EnvironmentVariableRow,
    JobRow,
)
from ...storage.variables import (
    find_duplicate,
    variables_of_job,
    variables_of_project,
)
from ..dependencies import ApiCall, Call, PathId
from ..envelope import success
from ..errors import InvalidRequestError, NotFoundError
from ..payloads.variables import value_payload, variable_payload
from ..query import parse_integer
from ..request_body import Body
from ..request_schemas import VariableRequest
from .projects import find_project

OWNERS: dict[str, tuple[str, type[EnvironmentRow] | type[JobRow]]] = {
    "environment": ("environment_id", EnvironmentRow),
    "job": ("job_definition_id", JobRow),
}


def list_job_variables(call: Call, project_id: PathId) -> JSONResponse:
    """Return name → the values of project, environment and job, as the job sees them."""
    variables: dict[str, dict[str, Any]] = {}
    with call.server.store.read() as session:
        find_project(session, project_id)
        for row in variables_of_job(session, _job(session, call, project_id)):
            variables.setdefault(row.name, {})[row.type] = value_payload(row)
    return success(variables, extra={})


def list_environment_variables(call: Call, project_id: PathId) -> JSONResponse:
    """Return name → the values of the project and of each environment, by its name."""
    variables: dict[str, dict[str, Any]] = {}
    with call.server.store.read() as session:
        find_project(session, project_id)
        statement = select(EnvironmentRow.id, EnvironmentRow.name).where(
            EnvironmentRow.project_id == project_id, EnvironmentRow.state == ACTIVE_STATE
        )
        names = {row.id: row.name for row in session.execute(statement.order_by(EnvironmentRow.id))}
        for row in variables_of_project(session, project_id):
            place = "project" if row.environment_id is None else names.get(row.environment_id)
            if place:
                variables.setdefault(row.name, {})[place] = value_payload(row)
    return success({"environments": ["project", *names.values()], "variables": variables})


def create_variable(call: Call, project_id: PathId, body: Body) -> JSONResponse:
    request = _read(call, project_id, body)
    with call.server.store.write() as session:
        find_project(session, project_id)
        row = EnvironmentVariableRow(account_id=call.account_id, project_id=project_id)
        _apply(session, row, request)
        session.add(row)
        session.flush()
        return success(variable_payload(row), code=201)


def update_variable(
    call: Call, project_id: PathId, variable_id: PathId, body: Body
) -> JSONResponse:
    request = _read(call, project_id, body)
    with call.server.store.write() as session:
        row = _find(session, project_id, variable_id)
        with session.no_autoflush:
            _apply(session, row, request)
        session.flush()
        return success(variable_payload(row))


def delete_variable(call: Call, project_id: PathId, variable_id: PathId) -> JSONResponse:
    """Delete the row itself: a value that may be secret is not kept behind a state."""
    with call.server.store.write() as session:
        row = _find(session, project_id, variable_id)
        session.delete(row)
        return success(variable_payload(row, DELETED_STATE))


def _read(call: ApiCall, project_id: int, body: Body) -> VariableRequest:
    request = body.parse(VariableRequest)
    call.check_account(request.account_id)
    if request.project_id not in (None, project_id):
        raise InvalidRequestError(data={"project_id": "does not match the project in the URL"})
    return request


def _apply(session: Session, row: EnvironmentVariableRow, request: VariableRequest) -> None:
    """Write the request into ``row``; raise InvalidRequestError if its scope is invalid."""
    if request.type in OWNERS:
        field, row_type = OWNERS[request.type]
        owner = find_active(session, row_type, getattr(request, field))
        if owner is None or owner.project_id != row.project_id:
            message = f"must be the id of one {request.type} of the project"
            raise InvalidRequestError(data={field: message})
    row.name, row.type, row.value = request.name, request.type, request.raw_value
    row.environment_id = request.environment_id if request.type == "environment" else None
    row.job_definition_id = request.job_definition_id if request.type == "job" else None
    if find_duplicate(session, row):
        message = f"{row.name} has a value in this scope: update that value"
        raise InvalidRequestError(data={"name": message})


def _find(session: Session, project_id: int, variable_id: int) -> EnvironmentVariableRow:
    find_project(session, project_id)
    row = session.get(EnvironmentVariableRow, variable_id)
    if row is None or row.project_id != project_id:
        raise NotFoundError
    return row


def _job(session: Session, call: ApiCall, project_id: int) -> JobRow:
    text = call.params.get("job_definition_id")
    if text is None:
        raise InvalidRequestError(data={"job_definition_id": "required key not provided"})
    try:
        job = find_active(session, JobRow, parse_integer(text))
    except ValueError:
        message = f"{text!r} is not a valid value"
        raise InvalidRequestError(data={"job_definition_id": message}) from None
    if job is None or job.project_id != project_id:
        raise NotFoundError
    return job

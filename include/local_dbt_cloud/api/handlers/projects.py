"""Projects: list, get, create, update, delete; the same in v2 and v3."""

from __future__ import annotations

from typing import Any

from fastapi.responses import JSONResponse
from sqlalchemy import select
from sqlalchemy.orm import Session

from ...storage.changes import define, find_active, next_id, set_state
from ...storage.resources import find_resource
from ...storage.schemas import Project
from ...storage.tables import (
    ACTIVE_STATE,
    DELETED_STATE,
    EnvironmentRow,
    ProjectRow,
)
from ..dependencies import ApiCall, Call, PathId
from ..envelope import success
from ..errors import NotFoundError
from ..payloads.accounts import project_payload
from ..payloads.resources import resource_payload
from ..query import Listing, above, contains, equals, page_of, within
from ..request_body import Body
from ..request_schemas import ProjectRequest, fields_of
from ..resource_schemas import Repository

LISTING = Listing(
    filters={
        "name__icontains": contains(ProjectRow.name),
        "pk": equals(ProjectRow.id),
        "pk__gt": above(ProjectRow.id),
        "pk__in": within(ProjectRow.id),
    },
    order={"id": ProjectRow.id, "name": ProjectRow.name, "created_at": ProjectRow.created_at},
    state=ProjectRow.state,
    project=ProjectRow.id,
)


def list_projects(call: Call) -> JSONResponse:
    query = call.list_query(LISTING)
    statement = select(ProjectRow).where(ProjectRow.account_id == call.account_id)
    with call.server.store.read() as session:
        page = page_of(session, statement, query)
        projects = [describe_project(session, call, row) for row in page.rows]
    return success(projects, query.extra(len(projects), page.total))


def get_project(call: Call, project_id: PathId) -> JSONResponse:
    with call.server.store.read() as session:
        return success(describe_project(session, call, find_project(session, project_id)))


def create_project(call: Call, body: Body) -> JSONResponse:
    request = body.parse(ProjectRequest)
    call.check_account(request.account_id)
    with call.server.store.write() as session:
        project = Project(id=next_id(session, ProjectRow), **fields_of(request))
        row = define(ProjectRow(account_id=call.account_id, state=request.state), project)
        session.add(row)
        session.flush()
        return success(describe_project(session, call, row), code=201)


def update_project(call: Call, project_id: PathId, body: Body) -> JSONResponse:
    """Replace the project; omitted fields get their defaults."""
    request = body.parse(ProjectRequest)
    call.check_account(request.account_id)
    with call.server.store.write() as session:
        row = find_project(session, project_id)
        define(row, Project(id=row.id, **fields_of(request)))
        set_state(session, row, request.state)
        session.flush()
        return success(describe_project(session, call, row))


def delete_project(call: Call, project_id: PathId) -> JSONResponse:
    """Delete the project with its environments and jobs."""
    with call.server.store.write() as session:
        row = find_project(session, project_id)
        set_state(session, row, DELETED_STATE)
        session.flush()
        return success(describe_project(session, call, row))


def find_project(session: Session, project_id: int) -> ProjectRow:
    """Return the project; raise NotFoundError if it is unknown or deleted."""
    row = find_active(session, ProjectRow, project_id)
    if row is None:
        raise NotFoundError
    return row


def describe_project(session: Session, call: ApiCall, row: ProjectRow) -> dict[str, Any]:
    environments = select(EnvironmentRow).where(
        EnvironmentRow.project_id == row.id, EnvironmentRow.state == ACTIVE_STATE
    )
    embedded = session.scalars(environments) if "environments" in call.include else ()
    payload = project_payload(row, call.server.output_of(row.id), embedded)
    repository = find_resource(session, "repository", payload["repository_id"])
    if repository is not None:
        payload["repository"] = resource_payload(session, Repository, repository, call.version)
    return payload

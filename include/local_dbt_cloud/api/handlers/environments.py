"""Environments: of one project (v3) or of the whole account (v2 and v3)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from fastapi.responses import JSONResponse
from sqlalchemy import select
from sqlalchemy.orm import Session

from ...storage.changes import define, find_active, next_id, set_state
from ...storage.profiles import Output
from ...storage.resources import find_resource
from ...storage.schemas import Environment
from ...storage.tables import DELETED_STATE, EnvironmentRow, ProjectRow
from ...times import iso, spaced
from ..connection_schemas import Connection
from ..credential_schemas import Credentials
from ..dependencies import ApiCall, Call, InProject, PathId
from ..envelope import success
from ..errors import InvalidRequestError, NotFoundError
from ..payloads.accounts import (
    connection_payload,
    environment_payload,
    project_payload,
)
from ..payloads.resources import resource_payload
from ..query import (
    Listing,
    above,
    contains,
    equals,
    page_of,
    text_equals,
    text_within,
    within,
)
from ..request_body import Body
from ..request_schemas import EnvironmentRequest, fields_of
from ..stored_schemas import Stored
from .projects import find_project
from .resources import check_exist

REFERENCES = {
    "connection_id": "connection",
    "credentials_id": "credentials",
    "extended_attributes_id": "extended_attributes",
    "primary_profile_id": "profile",
}
ID_OF = {kind: field for field, kind in REFERENCES.items()}
EMBEDDED: Mapping[str, type[Stored]] = {"connection": Connection, "credentials": Credentials}
DEFINED = EnvironmentRow.definition
LISTING = Listing(
    filters={
        "project_id": equals(EnvironmentRow.project_id),
        "project_id__in": within(EnvironmentRow.project_id),
        "name": text_equals(EnvironmentRow.name),
        "name__icontains": contains(EnvironmentRow.name),
        "type": text_equals(DEFINED["type"].as_string()),
        "deployment_type": text_equals(DEFINED["deployment_type"].as_string()),
        "deployment_type__in": text_within(DEFINED["deployment_type"].as_string()),
        "dbt_version": text_equals(DEFINED["dbt_version"].as_string()),
        "dbt_version__in": text_within(DEFINED["dbt_version"].as_string()),
        "credentials_id": equals(DEFINED["credentials_id"].as_integer()),
        "id__gt": above(EnvironmentRow.id),
        "pk": equals(EnvironmentRow.id),
        "pk__in": within(EnvironmentRow.id),
    },
    order={
        "id": EnvironmentRow.id,
        "name": EnvironmentRow.name,
        "created_at": EnvironmentRow.created_at,
    },
    state=EnvironmentRow.state,
    project=EnvironmentRow.project_id,
)


def list_environments(call: Call, project_id: InProject) -> JSONResponse:
    query = call.list_query(LISTING)
    statement = select(EnvironmentRow).where(EnvironmentRow.account_id == call.account_id)
    with call.server.store.read() as session:
        if project_id is not None:
            find_project(session, project_id)
            statement = statement.where(EnvironmentRow.project_id == project_id)
        page = page_of(session, statement, query)
        environments = [_describe(session, call, row) for row in page.rows]
    return success(environments, query.extra(len(environments), page.total))


def get_environment(call: Call, project_id: InProject, environment_id: PathId) -> JSONResponse:
    with call.server.store.read() as session:
        return success(_describe(session, call, _find(session, project_id, environment_id)))


def create_environment(call: Call, project_id: InProject, body: Body) -> JSONResponse:
    request = body.parse(EnvironmentRequest)
    call.check_account(request.account_id)
    with call.server.store.write() as session:
        home = _owning_project(session, project_id, request.project_id)
        call.check_project(home)
        check_ids(session, request, home)
        schema = request.schema_name or default_schema(request.name)
        definition = _definition(next_id(session, EnvironmentRow), home, schema, request)
        row = EnvironmentRow(account_id=call.account_id, project_id=home, state=request.state)
        session.add(define(row, definition))
        session.flush()
        return success(_describe(session, call, row), code=201)


def update_environment(
    call: Call, project_id: InProject, environment_id: PathId, body: Body
) -> JSONResponse:
    """Replace the environment; omitted fields get their defaults.

    Only ``schema`` is kept unless sent, because clients of dbt Cloud do not send that field.
    """
    request = body.parse(EnvironmentRequest)
    call.check_account(request.account_id)
    with call.server.store.write() as session:
        row = _find(session, project_id, environment_id)
        home = _owning_project(session, row.project_id, request.project_id)
        check_ids(session, request, home, row.definition)
        schema = request.schema_name or row.definition["schema"]
        define(row, _definition(row.id, home, schema, request))
        set_state(session, row, request.state)
        session.flush()
        return success(_describe(session, call, row))


def delete_environment(call: Call, project_id: InProject, environment_id: PathId) -> JSONResponse:
    """Delete the environment and its jobs."""
    with call.server.store.write() as session:
        row = _find(session, project_id, environment_id)
        set_state(session, row, DELETED_STATE)
        session.flush()
        return success(_describe(session, call, row))


def check_ids(
    session: Session,
    request: EnvironmentRequest,
    home: int,
    before: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """Raise InvalidRequestError for an unknown connection, profile, or the like.

    Ids that the environment has already, such as those in ``jobs.yaml``, may be of another account.
    """
    ids = {name: getattr(request, name) for name in REFERENCES}
    changed = {name: one for name, one in ids.items() if one != before.get(name)}
    check_exist(session, {name: (REFERENCES[name], one) for name, one in changed.items()}, home)


def default_schema(environment: str) -> str:
    """Return a schema of the environment's own, so that staging never overwrites production."""
    words = re.sub(r"[^a-z0-9]+", "_", environment.lower()).strip("_")
    return f"_{words}" if not words or words[0].isdigit() else words


def _definition(row_id: int, home: int, schema: str, request: EnvironmentRequest) -> Environment:
    fields = fields_of(request, "project_id") | {"schema": schema}
    return Environment(id=row_id, project_id=home, **fields)


def _owning_project(session: Session, in_path: int | None, in_body: int | None) -> int:
    """Return the environment's project; URL and body must agree."""
    home = in_body if in_path is None else in_path
    if home is None:
        raise InvalidRequestError(data={"project_id": "required key not provided"})
    if in_body not in (None, home):
        raise InvalidRequestError(data={"project_id": "does not match the project in the URL"})
    if find_active(session, ProjectRow, home) is None:
        if in_path is not None:
            raise NotFoundError
        raise InvalidRequestError(data={"project_id": f"project {home} does not exist"})
    return home


def _find(session: Session, project_id: int | None, environment_id: int) -> EnvironmentRow:
    row = find_active(session, EnvironmentRow, environment_id)
    if row is None or project_id not in (None, row.project_id):
        raise NotFoundError
    return row


def _describe(session: Session, call: ApiCall, row: EnvironmentRow) -> dict[str, Any]:
    payload = environment_payload(row, iso if call.version == "v2" else spaced)
    project = session.get_one(ProjectRow, row.project_id)
    output = call.server.output_of(project.id)
    if "project" in call.include:
        payload["project"] = project_payload(project, output)
    if call.version == "v2":
        payload |= _only_in_v2(project, output)
    elif "connection" in call.include:
        payload["connection"] = connection_payload(project, output)
    for name in call.include & EMBEDDED.keys():
        stored = find_resource(session, name, payload[ID_OF[name]])
        if stored is not None:
            payload[name] = resource_payload(session, EMBEDDED[name], stored, call.version)
    if "repository" in call.include:
        payload["repository"] = None  # there is no git integration
    return payload


def _only_in_v2(project: ProjectRow, output: Output) -> dict[str, Any]:
    """Return the fields that v3 does not have: v2 always embeds the connection."""
    connection = connection_payload(project, output)
    return {
        "dbt_project_subdirectory": project.definition["dbt_project_subdirectory"],
        "repository_id": None,
        "repository": None,
        "connection": connection | {"dbt_project_id": project.id},
        "created_by_id": None,
        "jobs": None,
        "custom_environment_variables": None,
    }

"""Environment variables with all their values at once, as Terraform's provider sets them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi.responses import JSONResponse
from sqlalchemy.orm import Session

from ...storage.tables import EnvironmentVariableRow
from ...storage.variables import environment_named, named
from ..dependencies import ApiCall, Call, PathId
from ..envelope import success
from ..errors import InvalidRequestError, NotFoundError
from ..request_body import Body, RequestBody
from ..request_schemas import BulkVariables, VariableNamed, VariableValues
from .projects import find_project

Change = Callable[[Session, ApiCall, int, VariableValues], list[int]]


def create_variables(call: Call, project_id: PathId, body: Body) -> JSONResponse:
    """Create all the variables, or none if one of them is invalid."""
    return _change(call, project_id, body, _create, 201)


def update_variables(call: Call, project_id: PathId, body: Body) -> JSONResponse:
    """Set the given values, keep the others, and rename if ``new_name`` is given.

    A key is an environment's name or the id of a value, which empty text then deletes.
    """
    return _change(call, project_id, body, _update, 200)


def delete_variables(call: Call, project_id: PathId, body: Body) -> JSONResponse:
    """Delete a variable by name, with its values in all scopes."""
    name = body.parse(VariableNamed).name
    with call.server.store.write() as session:
        find_project(session, project_id)
        rows = named(session, project_id, name)
        if not rows:
            raise NotFoundError
        for row in rows:
            session.delete(row)
        return success({"message": f"{name} was deleted", "var_ids": [row.id for row in rows]})


def _change(
    call: ApiCall, project_id: int, body: RequestBody, change: Change, code: int
) -> JSONResponse:
    request = body.parse(BulkVariables)
    with call.server.store.write() as session:
        find_project(session, project_id)
        changed = [change(session, call, project_id, one) for one in request.variables]
    if isinstance(request.env_var, list):
        return success(
            [_entry(one, ids, code) for one, ids in zip(request.variables, changed, strict=True)],
            code=code,
        )
    return success({"message": "Environment variables saved", "new_var_ids": changed[0]}, code=code)


def _entry(variable: VariableValues, ids: list[int], code: int) -> dict[str, Any]:
    name = variable.new_name or variable.name
    return {
        "status": "success",
        "status_code": code,
        "key_name": name,
        "data": {"new_var_ids": ids},
    }


def _create(
    session: Session, call: ApiCall, project_id: int, variable: VariableValues
) -> list[int]:
    if variable.new_name is None:
        raise InvalidRequestError(data={"new_name": "required key not provided"})
    if named(session, project_id, variable.new_name):
        raise InvalidRequestError(data={"new_name": f"{variable.new_name} exists: use PUT"})
    return _set_values(session, call, project_id, variable.new_name, variable)


def _update(
    session: Session, call: ApiCall, project_id: int, variable: VariableValues
) -> list[int]:
    if variable.name is None:
        raise InvalidRequestError(data={"name": "required key not provided"})
    rows = named(session, project_id, variable.name)
    if not rows:
        raise NotFoundError
    name = variable.new_name or variable.name
    if name != variable.name and named(session, project_id, name):
        raise InvalidRequestError(data={"new_name": f"{name} exists already"})
    for row in rows:
        row.name = name
    by_id = {str(row.id): row for row in rows if str(row.id) in variable.environments}
    for key, row in by_id.items():
        row.value = variable.environments[key]
        if not row.value:
            session.delete(row)
    return _set_values(session, call, project_id, name, variable, frozenset(by_id))


def _set_values(
    session: Session,
    call: ApiCall,
    project_id: int,
    name: str,
    variable: VariableValues,
    done: frozenset[str] = frozenset(),
) -> list[int]:
    """Set each value in its scope, but for the keys that are done; return the ids of new values."""
    places = _places(session, project_id, variable, done)
    old = {
        row.environment_id: row
        for row in named(session, project_id, name)
        if row.type in {"project", "environment"}
    }
    added = []
    for place, value in places.items():
        if place in old:
            old[place].value = value
            continue
        row = EnvironmentVariableRow(
            account_id=call.account_id,
            project_id=project_id,
            environment_id=place,
            name=name,
            type="project" if place is None else "environment",
            value=value,
        )
        session.add(row)
        added.append(row)
    session.flush()
    return [row.id for row in added]


def _places(
    session: Session, project_id: int, variable: VariableValues, done: frozenset[str]
) -> dict[int | None, str]:
    """Return environment id → value; None is the project's own value."""
    places: dict[int | None, str] = {} if variable.project is None else {None: variable.project}
    for environment, value in variable.environments.items():
        if environment in done:
            continue
        found = environment_named(session, project_id, environment)
        if found is None:
            raise InvalidRequestError(data={environment: "is not an environment of the project"})
        places[found.id] = value
    if not places and not done:
        raise InvalidRequestError(data={"project": "a variable needs at least one value"})
    return places

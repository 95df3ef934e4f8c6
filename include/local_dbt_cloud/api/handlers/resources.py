"""Stored resources: list, create, get, update, delete, the same for every kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fastapi.responses import JSONResponse
from sqlalchemy import select
from sqlalchemy.orm import Session

from ...storage.resources import add_resource, exists, find_resource
from ...storage.tables import DELETED_STATE, ResourceRow
from ..dependencies import ApiCall, Call, InProject, PathId
from ..envelope import success
from ..errors import InvalidRequestError, NotFoundError
from ..payloads.resources import resource_payload
from ..query import Filter, Listing, contains, equals, page_of, text_equals, within
from ..request_body import Body, RequestBody
from ..stored_schemas import Refers, Stored, StoredInProject
from .projects import find_project


@dataclass(frozen=True, eq=False)
class Resources:
    """One kind of resource, and the handlers of its URLs.

    ``updates`` are the methods that change one: POST and PUT replace it, PATCH merges the body into
    it. A kind without an effect is announced in the log, and is in README.md.
    """

    kind: str
    path: str
    schema: type[Stored]
    updates: tuple[str, ...] = ("POST",)
    filters: tuple[str, ...] = ()
    has_effect: bool = False
    listing: Listing = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "listing", listing_of(self.schema, self.filters))

    def list_all(self, call: Call, project_id: InProject) -> JSONResponse:
        query = call.list_query(self.listing)
        statement = select(ResourceRow).where(
            ResourceRow.kind == self.kind, ResourceRow.account_id == call.account_id
        )
        with call.server.store.read() as session:
            if project_id is not None:
                find_project(session, project_id)
                statement = statement.where(ResourceRow.project_id == project_id)
            page = page_of(session, statement, query)
            found = [self.describe(session, call, row) for row in page.rows]
        return success(found, query.extra(len(found), page.total))

    def get(self, call: Call, project_id: InProject, resource_id: PathId) -> JSONResponse:
        with call.server.store.read() as session:
            return success(
                self.describe(session, call, self.find(session, project_id, resource_id))
            )

    def create(self, call: Call, project_id: InProject, body: Body) -> JSONResponse:
        request = self.parse(call, body)
        with call.server.store.write() as session:
            if project_id is not None:
                find_project(session, project_id)
            row = ResourceRow(account_id=call.account_id, kind=self.kind, definition={})
            self.apply(session, call, row, request, project_id)
            add_resource(session, row)
            once = self.once(session, call, row, request)
            session.flush()
            return success(self.describe(session, call, row) | once, code=201)

    def replace(
        self, call: Call, project_id: InProject, resource_id: PathId, body: Body
    ) -> JSONResponse:
        """Replace the resource; omitted fields get their defaults. State 2 deletes it."""
        request = self.parse(call, body)
        with call.server.store.write() as session:
            row = self.find(session, project_id, resource_id)
            self.apply(session, call, row, request, project_id)
            session.flush()
            return success(self.describe(session, call, row))

    def merge(
        self, call: Call, project_id: InProject, resource_id: PathId, body: Body
    ) -> JSONResponse:
        """Change the fields in the body, also nested ones; null clears a field."""
        with call.server.store.write() as session:
            row = self.find(session, project_id, resource_id)
            request = self.parse(
                call, RequestBody(merged(row.definition, body.values), body.strict)
            )
            self.apply(session, call, row, request, project_id)
            session.flush()
            return success(self.describe(session, call, row))

    def delete(self, call: Call, project_id: InProject, resource_id: PathId) -> JSONResponse:
        with call.server.store.write() as session:
            row = self.find(session, project_id, resource_id)
            row.state = DELETED_STATE
            session.flush()
            return success(self.describe(session, call, row))

    def find(self, session: Session, project_id: int | None, resource_id: int) -> ResourceRow:
        row = find_resource(session, self.kind, resource_id)
        if project_id is not None:
            find_project(session, project_id)
        if row is None or project_id not in (None, row.project_id):
            raise NotFoundError
        return row

    def parse(self, call: ApiCall, body: RequestBody) -> Stored:
        request = body.parse(self.schema.variant(body.values))
        call.check_account(request.account_id)
        if not self.has_effect:
            call.server.announce(self.path)
        return request

    def apply(
        self,
        session: Session,
        call: ApiCall,
        row: ResourceRow,
        request: Stored,
        project_id: int | None,
    ) -> None:
        in_body = request.project_id if isinstance(request, StoredInProject) else None
        if in_body is not None and project_id not in (None, in_body):
            raise InvalidRequestError(data={"project_id": "does not match the project in the URL"})
        row.project_id = project_id or in_body or row.project_id
        if row.project_id is not None:
            call.check_project(row.project_id)
        check_references(session, request, row.project_id)
        row.definition = request.definition() | request.made(row.definition)
        row.state = request.state

    def describe(self, session: Session, call: ApiCall, row: ResourceRow) -> dict[str, Any]:
        return resource_payload(session, self.schema, row, call.version)

    def once(
        self, session: Session, call: ApiCall, row: ResourceRow, request: Stored
    ) -> dict[str, Any]:
        """Return what only the response to the creation contains."""
        return {}


def listing_of(schema: type[Stored], names: tuple[str, ...]) -> Listing:
    """Return the filters of a list: ids, the name if there is one, and further ids by name."""
    defined = ResourceRow.definition
    filters: dict[str, Filter] = {
        "project_id": equals(ResourceRow.project_id),
        "pk": equals(ResourceRow.id),
        "pk__in": within(ResourceRow.id),
        **{name: equals(defined[name].as_integer()) for name in names},
    }
    if "name" in schema.model_fields:
        name = defined["name"].as_string()
        filters |= {"name": text_equals(name), "name__icontains": contains(name)}
    home = ResourceRow.project_id if issubclass(schema, StoredInProject) else None
    order = {"id": ResourceRow.id, "created_at": ResourceRow.created_at}
    return Listing(filters, order, ResourceRow.state, project=home)


def merged(definition: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the definition with changed values; objects in it are merged too, but for one."""
    result = {**definition, **values}
    for name in definition.keys() & values.keys() - {"extended_attributes"}:
        old, new = definition[name], values[name]
        if isinstance(old, dict) and isinstance(new, dict):
            result[name] = merged(old, new)
    return result


def check_references(session: Session, request: Stored, project_id: int | None) -> None:
    """Raise InvalidRequestError with each field that names a resource which does not exist."""
    targets = {
        name: (mark.kind, getattr(request, name))
        for name, one in type(request).model_fields.items()
        for mark in one.metadata
        if isinstance(mark, Refers)
    }
    check_exist(session, targets, project_id)


def check_exist(
    session: Session, targets: Mapping[str, tuple[str, int | None]], project_id: int | None
) -> None:
    """Raise InvalidRequestError unless each (kind, id) is null or exists in the project."""
    wrong = {
        name: f"{kind.replace('_', ' ')} {target} does not exist"
        for name, (kind, target) in targets.items()
        if target is not None and not exists(session, kind, target, project_id)
    }
    if wrong:
        raise InvalidRequestError(data=wrong)

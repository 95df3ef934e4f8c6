"""The permissions of a group or a service token: read and replaced as a whole."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi.responses import JSONResponse
from sqlalchemy.orm import Session

from ...storage.resources import add_resource, parts_of
from ...storage.tables import DELETED_STATE, ResourceRow
from ..dependencies import ApiCall, Call, PathId
from ..envelope import success
from ..errors import InvalidRequestError
from ..request_body import ListBody
from ..resource_schemas import Grant, Grants, grant_payload
from .resources import Resources, check_references


@dataclass(frozen=True, eq=False)
class GrantList:
    """``owner_key`` is the id of the group or service token in each permission."""

    owner: Resources
    kind: str
    owner_key: str
    path: str

    def list_all(self, call: Call, resource_id: PathId) -> JSONResponse:
        with call.server.store.read() as session:
            owner = self.owner.find(session, None, resource_id)
            return self.respond(parts_of(session, self.kind, owner.id))

    def replace(self, call: Call, resource_id: PathId, body: ListBody) -> JSONResponse:
        grants = body.parse(Grants).root
        with call.server.store.write() as session:
            owner = self.owner.find(session, None, resource_id)
            for row in parts_of(session, self.kind, owner.id):
                row.state = DELETED_STATE
            rows = add_grants(session, call, self.kind, owner, grants)
            session.flush()
            return self.respond(rows)

    def respond(self, rows: list[ResourceRow]) -> JSONResponse:
        found = [grant_payload(row, self.owner_key) for row in rows]
        pages = {"count": len(found), "total_count": len(found)}
        return success(found, {"filters": {}, "order_by": "id", "pagination": pages})


def add_grants(
    session: Session, call: ApiCall, kind: str, owner: ResourceRow, grants: list[Grant]
) -> list[ResourceRow]:
    """Store permissions; raise InvalidRequestError unless each is of one project or of all."""
    rows = []
    for grant in grants:
        call.check_account(grant.account_id)
        check_references(session, grant, None)
        if grant.all_projects not in (None, grant.project_id is None):
            raise InvalidRequestError(data={"project_id": "does not agree with all_projects"})
        row = ResourceRow(
            account_id=call.account_id,
            project_id=grant.project_id,
            owner_id=owner.id,
            kind=kind,
            definition=grant.definition(),
        )
        rows.append(add_resource(session, row))
    return rows

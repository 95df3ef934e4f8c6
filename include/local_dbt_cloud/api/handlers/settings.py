"""Settings of an account, an environment or a connection: there is one, with defaults."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import Request
from fastapi.responses import JSONResponse
from sqlalchemy import select
from sqlalchemy.orm import Session

from ...storage.resources import add_resource, exists
from ...storage.tables import ResourceRow
from ..dependencies import ApiCall, Call, integer_in_path
from ..envelope import success
from ..errors import NotFoundError
from ..payloads.resources import resource_payload
from ..request_body import Body, RequestBody
from ..stored_schemas import Stored
from .resources import merged


@dataclass(frozen=True, eq=False)
class Setting:
    """``owner`` is the kind whose id is in the URL, if it is not the account's setting."""

    kind: str
    path: str
    schema: type[Stored]
    update: str
    owner: str | None = None

    def get(self, call: Call, request: Request) -> JSONResponse:
        with call.server.store.write() as session:
            return self.respond(session, call, self.find(session, call, request))

    def change(self, call: Call, request: Request, body: Body) -> JSONResponse:
        """Change the fields in the body."""
        call.server.announce(self.path)
        with call.server.store.write() as session:
            row = self.find(session, call, request)
            values = RequestBody(merged(row.definition, body.values), body.strict)
            row.definition = values.parse(self.schema).definition()
            session.flush()
            return self.respond(session, call, row)

    def find(self, session: Session, call: ApiCall, request: Request) -> ResourceRow:
        """Return the setting, which is created when it is first read."""
        owner_id = integer_in_path(request, f"{self.owner or 'account'}_id")
        if self.owner and not exists(session, self.owner, owner_id, None):
            raise NotFoundError
        statement = select(ResourceRow).where(
            ResourceRow.kind == self.kind, ResourceRow.owner_id == owner_id
        )
        row = session.scalar(statement)
        if row is None:
            row = ResourceRow(account_id=call.account_id, kind=self.kind, owner_id=owner_id)
            row.definition = self.schema().definition()
            add_resource(session, row)
            session.flush()
        return row

    def respond(self, session: Session, call: ApiCall, row: ResourceRow) -> JSONResponse:
        payload = resource_payload(session, self.schema, row, call.version)
        owner = {} if self.owner is None else {f"{self.owner}_id": row.owner_id}
        return success(payload | owner)

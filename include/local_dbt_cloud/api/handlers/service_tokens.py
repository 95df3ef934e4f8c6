"""Service tokens: they work for calls until they are deleted (CONTRACT.md, section 3.14)."""

from __future__ import annotations

import secrets
from typing import Any

from sqlalchemy.orm import Session

from ...storage.service_tokens import GRANT_KIND, TOKEN_PREFIX, hash_of
from ...storage.tables import ResourceRow
from ..dependencies import ApiCall
from ..resource_schemas import ServiceToken
from ..stored_schemas import Stored
from .grants import add_grants
from .resources import Resources


class ServiceTokens(Resources):
    """The response to the creation is the only one with the token."""

    def once(
        self, session: Session, call: ApiCall, row: ResourceRow, request: Stored
    ) -> dict[str, Any]:
        assert isinstance(request, ServiceToken)
        token = TOKEN_PREFIX + secrets.token_urlsafe(32)
        row.token_hash = hash_of(token)
        add_grants(session, call, GRANT_KIND, row, request.permission_grants)
        return {"token_string": token}


class ScimTokens(Resources):
    """SCIM is not served, so these tokens open nothing, and are not stored."""

    def once(
        self, session: Session, call: ApiCall, row: ResourceRow, request: Stored
    ) -> dict[str, Any]:
        return {"token_string": f"dbtscim_{secrets.token_urlsafe(32)}"}

"""Service tokens: stored as hashes, with the permission sets that they have."""

from __future__ import annotations

import hashlib

from sqlalchemy import select
from sqlalchemy.orm import Session

from .resources import parts_of
from .tables import ACTIVE_STATE, ResourceRow

KIND = "service_token"
GRANT_KIND = "service_token_permission"
TOKEN_PREFIX = "dbtc_"


def hash_of(token: str) -> str:
    """Return the SHA-256, which is enough for a random secret of 256 bits."""
    return hashlib.sha256(token.encode()).hexdigest()


def find_token(session: Session, token: str) -> int | None:
    """Return the id of the service token; None if it is unknown or deleted."""
    statement = select(ResourceRow.id).where(
        ResourceRow.token_hash == hash_of(token), ResourceRow.state == ACTIVE_STATE
    )
    return session.scalar(statement)


def grants_of(session: Session, token_id: int) -> list[tuple[str, int | None]]:
    """Return the token's permission sets, each with its project; None is every project."""
    return [
        (row.definition["permission_set"], row.project_id)
        for row in parts_of(session, GRANT_KIND, token_id)
    ]

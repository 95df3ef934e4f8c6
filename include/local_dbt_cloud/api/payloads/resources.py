"""Stored resources (CONTRACT.md, sections 3.11 to 3.14)."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from ...storage.tables import ResourceRow
from ...times import iso, spaced
from ..stored_schemas import Stored


def resource_payload(
    session: Session, schema: type[Stored], row: ResourceRow, version: str
) -> dict[str, Any]:
    """Return a resource; an account's resource has no ``project_id``."""
    moment = iso if version == "v2" else spaced
    place = {} if row.project_id is None else {"project_id": row.project_id}
    return {
        "id": row.id,
        "account_id": row.account_id,
        **place,
        **row.definition,
        "state": row.state,
        "created_at": moment(row.created_at),
        "updated_at": moment(row.updated_at),
        **schema.variant(row.definition).shown(session, row),
    }

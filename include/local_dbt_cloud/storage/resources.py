"""Resources that are stored, such as connections, credentials and groups."""

from __future__ import annotations

from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from sqlalchemy import select
from sqlalchemy.orm import Session

from .changes import find_active, next_id
from .tables import ACTIVE_STATE, EnvironmentRow, JobRow, ProjectRow, ResourceRow

CONNECTION = "connection"
CONNECTION_ID = 1  # the one warehouse
DEFINED = {"environment": EnvironmentRow, "job": JobRow, "project": ProjectRow}


def find_resource(session: Session, kind: str, resource_id: int | None) -> ResourceRow | None:
    """Return the resource unless it is unknown, deleted or of another kind."""
    row = session.get(ResourceRow, resource_id) if resource_id is not None else None
    return row if row and (row.kind, row.state) == (kind, ACTIVE_STATE) else None


def add_resource(session: Session, row: ResourceRow) -> ResourceRow:
    row.id = next_id(session, ResourceRow)
    session.add(row)
    return row


def exists(session: Session, kind: str, resource_id: int | None, project_id: int | None) -> bool:
    """Return whether the id is of this kind, and of the project if both belong to one."""
    if (kind, resource_id) == (CONNECTION, CONNECTION_ID):
        return True
    if kind in DEFINED:
        row: Any = find_active(session, DEFINED[kind], resource_id)
        home = getattr(row, "project_id", None)
    else:
        row = find_resource(session, kind, resource_id)
        home = row and row.project_id
    return row is not None and (None in (home, project_id) or home == project_id)


def parts_of(session: Session, kind: str, owner_id: int) -> list[ResourceRow]:
    """Return the active parts of a resource, such as the permissions of a group."""
    statement = select(ResourceRow).where(
        ResourceRow.kind == kind,
        ResourceRow.owner_id == owner_id,
        ResourceRow.state == ACTIVE_STATE,
    )
    return list(session.scalars(statement.order_by(ResourceRow.id)))


def environments_with(session: Session, field: str, resource_id: int) -> list[EnvironmentRow]:
    """Return the active environments that name a resource in a field, such as a connection."""
    statement = select(EnvironmentRow).where(
        EnvironmentRow.definition[field].as_integer() == resource_id,
        EnvironmentRow.state == ACTIVE_STATE,
    )
    return list(session.scalars(statement))


def extended_attributes_of(session: Session, environment: EnvironmentRow) -> dict[str, Any]:
    """Return the environment's extended attributes, its own or those of its profile."""
    settings = environment.definition
    profile = find_resource(session, "profile", settings.get("primary_profile_id"))
    source = profile.definition if profile else settings
    row = find_resource(session, "extended_attributes", source.get("extended_attributes_id"))
    return dict(row.definition["extended_attributes"]) if row else {}


def make_public_key() -> str:
    """Return a new public key in OpenSSH's format; nothing here needs the private key."""
    key = ed25519.Ed25519PrivateKey.generate().public_key()
    form = serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    return key.public_bytes(*form).decode()

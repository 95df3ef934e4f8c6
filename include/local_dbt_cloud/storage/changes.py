"""Projects, environments and jobs that are created, changed and deleted over the API."""

from __future__ import annotations

from typing import TypeVar

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import Session

from .schemas import Environment, Job, Project
from .tables import (
    ACTIVE_STATE,
    DELETED_STATE,
    DefinedRow,
    EnvironmentRow,
    JobRow,
    ProjectRow,
    ResourceRow,
)

# Between the short ids of dbt Cloud's oldest accounts and the long ones of today's, so that the ids
# of entries that are added to jobs.yaml later, perhaps from a real account, are free.
CREATED_IDS = range(1_000_000_001, 2_000_000_000)

AnyRow = TypeVar("AnyRow", bound=DefinedRow)


def next_id(session: Session, row_type: type[DefinedRow] | type[ResourceRow]) -> int:
    """Return the id of the next row of a kind that is created over the API."""
    created = row_type.id.between(CREATED_IDS.start, CREATED_IDS.stop)
    newest = session.scalar(select(func.max(row_type.id)).where(created))
    return CREATED_IDS.start if newest is None else newest + 1


def define(row: AnyRow, definition: Project | Environment | Job) -> AnyRow:
    """Set the definition of a new or an existing row."""
    row.id = definition.id
    row.name = definition.name
    row.definition = definition.model_dump(mode="json", by_alias=True)
    return row


def set_state(session: Session, row: DefinedRow, state: int) -> None:
    """Set the state, which is how dbt Cloud deletes; children are deleted with the row."""
    row.state = state
    if state == DELETED_STATE and isinstance(row, ProjectRow):
        _delete(session, EnvironmentRow, EnvironmentRow.project_id == row.id)
        _delete(session, JobRow, JobRow.project_id == row.id)
        _delete(session, ResourceRow, ResourceRow.project_id == row.id)
    if state == DELETED_STATE and isinstance(row, EnvironmentRow):
        _delete(session, JobRow, JobRow.environment_id == row.id)


def find_active(session: Session, row_type: type[AnyRow], row_id: int | None) -> AnyRow | None:
    row = session.get(row_type, row_id) if row_id is not None else None
    return row if row and row.state == ACTIVE_STATE else None


def _delete(
    session: Session,
    row_type: type[DefinedRow] | type[ResourceRow],
    condition: ColumnElement[bool],
) -> None:
    session.execute(update(row_type).where(condition).values(state=DELETED_STATE))

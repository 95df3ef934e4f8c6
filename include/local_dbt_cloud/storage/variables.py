"""dbt's environment variables: queries, and the values of a run."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.orm import Session

from .tables import (
    ACTIVE_STATE,
    EnvironmentRow,
    EnvironmentVariableRow,
    JobRow,
)

# The last one takes precedence (CONTRACT.md, section 3.9).
PRECEDENCE = ("project", "environment", "job")

Variable = EnvironmentVariableRow


def variables_of_job(session: Session, job: JobRow) -> list[EnvironmentVariableRow]:
    """Return all values that apply to a run of ``job``, lowest precedence first."""
    in_reach = or_(
        Variable.type == "project",
        and_(Variable.type == "environment", Variable.environment_id == job.environment_id),
        and_(Variable.type == "job", Variable.job_definition_id == job.id),
    )
    statement = select(Variable).where(Variable.project_id == job.project_id, in_reach)
    found = session.scalars(statement.order_by(Variable.id))
    return sorted(found, key=lambda row: PRECEDENCE.index(row.type))


def environment_of_job(session: Session, job: JobRow) -> dict[str, str]:
    """Return the variables of a run's commands: job over environment over project."""
    return {row.name: row.value for row in variables_of_job(session, job)}


def variables_of_project(session: Session, project_id: int) -> Sequence[EnvironmentVariableRow]:
    """Return the values of the project and its environments."""
    statement = select(Variable).where(
        Variable.project_id == project_id, Variable.type.in_(["project", "environment"])
    )
    return session.scalars(statement.order_by(Variable.name, Variable.id)).all()


def named(session: Session, project_id: int, name: str) -> list[EnvironmentVariableRow]:
    """Return every value of one variable, including those of jobs and users."""
    statement = select(Variable).where(Variable.project_id == project_id, Variable.name == name)
    return list(session.scalars(statement))


def same_scope(row: EnvironmentVariableRow) -> ColumnElement[bool]:
    """Return the condition for values of the same variable in the same scope."""
    return and_(
        Variable.project_id == row.project_id,
        Variable.type == row.type,
        Variable.name == row.name,
        Variable.environment_id.is_(row.environment_id),
        Variable.job_definition_id.is_(row.job_definition_id),
    )


def find_duplicate(session: Session, row: EnvironmentVariableRow) -> EnvironmentVariableRow | None:
    """Return another value of the same variable in the same scope."""
    return session.scalar(select(Variable).where(same_scope(row), Variable.id.is_not(row.id)))


def environment_named(session: Session, project_id: int, name: str) -> EnvironmentRow | None:
    statement = select(EnvironmentRow).where(
        EnvironmentRow.project_id == project_id,
        EnvironmentRow.name == name,
        EnvironmentRow.state == ACTIVE_STATE,
    )
    return session.scalar(statement.order_by(EnvironmentRow.id))

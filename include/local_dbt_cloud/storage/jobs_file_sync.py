"""Apply ``jobs.yaml`` to the database, at each start.

New and changed entries are written. An entry that was changed or deleted over the API is left
alone, and a warning is logged.
"""

from __future__ import annotations

import logging

from sqlalchemy import select
from sqlalchemy.orm import Session

from .jobs_file import JobsFile
from .schemas import JobVariable, Schema
from .tables import (
    ACTIVE_STATE,
    AccountRow,
    DefinedRow,
    EnvironmentRow,
    EnvironmentVariableRow,
    JobRow,
    ProjectRow,
)
from .variables import same_scope

log = logging.getLogger(__name__)


def apply(session: Session, jobs_file: JobsFile) -> None:
    home = {"account_id": jobs_file.account.id}
    _apply_entry(session, AccountRow, jobs_file.account)
    for project in jobs_file.projects:
        _apply_entry(session, ProjectRow, project, **home)
    for environment in jobs_file.environments:
        columns = home | {"project_id": environment.project_id}
        _apply_entry(session, EnvironmentRow, environment, **columns)
    for job in jobs_file.jobs:
        columns = home | {"project_id": job.project_id, "environment_id": job.environment_id}
        _apply_entry(session, JobRow, job, **columns)
    projects = {job.id: job.project_id for job in jobs_file.jobs}
    for variable in jobs_file.variables:
        _apply_variable(session, variable, home | {"project_id": projects[variable.job_id]})


def _apply_variable(session: Session, variable: JobVariable, place: dict[str, int]) -> None:
    """Write the value; over the API it can be changed until the next start."""
    row = EnvironmentVariableRow(
        **place,
        type="job",
        job_definition_id=variable.job_id,
        name=variable.name,
        value=variable.value,
    )
    if existing := session.scalar(select(EnvironmentVariableRow).where(same_scope(row))):
        existing.value = variable.value
    else:
        session.add(row)


def _apply_entry(
    session: Session, row_type: type[DefinedRow], definition: Schema, **columns: int
) -> None:
    entry = definition.model_dump(mode="json", by_alias=True)
    row = session.get(row_type, entry["id"])
    if row and row.shipped == entry:
        return
    if row and _has_changed(row):
        kind = row_type.__tablename__.removesuffix("s")
        log.warning("jobs.yaml: %s %s was changed over the API and stays so.", kind, row.id)
        return
    columns |= {"id": entry["id"]}
    session.merge(row_type(name=entry["name"], definition=entry, shipped=entry, **columns))


def _has_changed(row: DefinedRow) -> bool:
    """Return whether the row differs from its entry in ``jobs.yaml``, or has none."""
    return row.definition != row.shipped or row.state != ACTIVE_STATE

"""Apply ``jobs.yaml`` to the database, at each start.

New and changed entries are written. An entry that was changed or deleted over the API is left
alone, and a warning is logged.
"""

from __future__ import annotations

import logging

from sqlalchemy.orm import Session

from include.local_dbt_cloud.storage.jobs_file import JobsFile
from include.local_dbt_cloud.storage.schemas import Schema
from include.local_dbt_cloud.storage.tables import (
    ACTIVE_STATE,
    AccountRow,
    DefinedRow,
    EnvironmentRow,
    JobRow,
    ProjectRow,
)

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

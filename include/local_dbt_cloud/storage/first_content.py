"""Brings what ``jobs.yaml`` says into the database, at each start.

An entry that is new is added and one that changed is taken over, unless the thing was changed
or deleted over the API since: then the API has the last word, and the log says so.
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


def take_over(session: Session, jobs_file: JobsFile) -> None:
    home = {"account_id": jobs_file.account.id}
    _take_over(session, AccountRow, jobs_file.account)
    for project in jobs_file.projects:
        _take_over(session, ProjectRow, project, **home)
    for environment in jobs_file.environments:
        columns = home | {"project_id": environment.project_id}
        _take_over(session, EnvironmentRow, environment, **columns)
    for job in jobs_file.jobs:
        columns = home | {"project_id": job.project_id, "environment_id": job.environment_id}
        _take_over(session, JobRow, job, **columns)


def _take_over(
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
    """Whether the row is no longer what ``jobs.yaml`` made it, or never came from there."""
    return row.definition != row.shipped or row.state != ACTIVE_STATE

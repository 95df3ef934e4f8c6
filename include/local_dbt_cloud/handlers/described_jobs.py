"""Jobs with what ``include_related`` adds from other tables."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from include.local_dbt_cloud.call import ApiCall
from include.local_dbt_cloud.handlers.runs import describe_runs
from include.local_dbt_cloud.payloads.jobs import job_payload
from include.local_dbt_cloud.payloads.variables import variable_payload
from include.local_dbt_cloud.rows import EnvironmentVariableRow, JobRow, RunRow
from include.local_dbt_cloud.statuses import FINISHED, Status

ANY = frozenset(Status)
NEWEST = {"most_recent_run": ANY, "most_recent_completed_run": FINISHED}


def describe_jobs(session: Session, call: ApiCall, jobs: Sequence[JobRow]) -> list[dict[str, Any]]:
    """Payloads of jobs, with their newest runs and own variables if the call asks for them."""
    ids = [job.id for job in jobs]
    related: dict[int, dict[str, Any]] = {job_id: {} for job_id in ids}
    for name in call.include & NEWEST.keys():
        for run in _newest_runs(session, call, ids, NEWEST[name]):
            related[run["job_id"]][name] = run
    if "custom_environment_variables" in call.include:
        for job_id in ids:
            related[job_id]["custom_environment_variables"] = _variables(session, job_id)
    return [job_payload(job, call.include) | related[job.id] for job in jobs]


def _newest_runs(
    session: Session, call: ApiCall, job_ids: list[int], statuses: Collection[Status]
) -> list[dict[str, Any]]:
    """The newest run of each job that has one of the statuses."""
    newest = (
        select(func.max(RunRow.id))
        .where(RunRow.job_id.in_(job_ids), RunRow.status_code.in_([int(one) for one in statuses]))
        .group_by(RunRow.job_id)
    )
    runs = session.scalars(select(RunRow).where(RunRow.id.in_(newest)))
    return describe_runs(session, call, runs, frozenset())


def _variables(session: Session, job_id: int) -> list[dict[str, Any]]:
    statement = select(EnvironmentVariableRow).where(
        EnvironmentVariableRow.job_definition_id == job_id
    )
    return [variable_payload(row) for row in session.scalars(statement)]

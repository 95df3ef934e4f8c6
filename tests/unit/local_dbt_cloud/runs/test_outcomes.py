"""The jobs that start at the end of a run."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from include.local_dbt_cloud.runs.outcomes import CANCELLED, end_run
from include.local_dbt_cloud.storage.runs import create_run
from include.local_dbt_cloud.storage.schemas import RunRequest
from include.local_dbt_cloud.storage.store import Store
from include.local_dbt_cloud.storage.tables import JobRow, RunRow

FIRST, SECOND = 65767, 30605


@pytest.mark.parametrize(("project_id", "starts"), [(36467, True), (1, False)])
def test_end_run_starts_the_next_job_only_for_the_named_project(
    store: Store, project_id: int, starts: bool
) -> None:
    condition = {"job_id": FIRST, "project_id": project_id, "statuses": [30]}
    with store.write() as session:
        second = session.get_one(JobRow, SECOND)
        awaited = {"job_completion_trigger_condition": {"condition": condition}}
        second.definition = second.definition | awaited
        session.flush()
        run = create_run(session, session.get_one(JobRow, FIRST), RunRequest(cause="test"))
        end_run(session, run, CANCELLED)
        started = session.scalars(select(RunRow).where(RunRow.job_id == SECOND)).all()

    assert bool(started) is starts

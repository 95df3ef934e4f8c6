from __future__ import annotations

import pytest

from include.local_dbt_cloud.storage.runs import create_run, effective_version, newest_run_ids
from include.local_dbt_cloud.storage.schemas import Environment, Job, RunRequest
from include.local_dbt_cloud.storage.store import Store
from include.local_dbt_cloud.storage.tables import JobRow

DAILY_BUILD, BUILD_AFTER_LOAD = 65767, 30605


def test_newest_run_ids_leaves_out_jobs_without_runs(store: Store) -> None:
    with store.write() as session:
        job = session.get_one(JobRow, DAILY_BUILD)
        runs = [create_run(session, job, RunRequest(cause="test")) for _ in range(2)]

        found = newest_run_ids(session, [DAILY_BUILD, BUILD_AFTER_LOAD])

        assert found == {DAILY_BUILD: runs[-1].id}
        assert newest_run_ids(session, []) == {}


@pytest.mark.parametrize(
    ("of_job", "of_trigger", "expected"),
    [(None, None, "1.11"), ("1.12", None, "1.12"), ("1.12", "2.0", "2.0"), (None, "2.0", "2.0")],
)
def test_trigger_replaces_the_version_of_the_job_and_that_of_the_environment(
    of_job: str | None, of_trigger: str | None, expected: str
) -> None:
    environment = Environment(id=1, project_id=1, name="Production", dbt_version="1.11")
    job = Job(
        id=1,
        project_id=1,
        environment_id=1,
        name="Daily",
        execute_steps=["dbt build"],
        dbt_version=of_job,
    )
    request = RunRequest(cause="test", dbt_version_override=of_trigger)
    assert effective_version(environment, job, request) == expected

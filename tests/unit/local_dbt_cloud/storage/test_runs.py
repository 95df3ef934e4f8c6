from __future__ import annotations

from include.local_dbt_cloud.storage.runs import create_run, newest_run_ids
from include.local_dbt_cloud.storage.schemas import RunRequest
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

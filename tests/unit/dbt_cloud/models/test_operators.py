from __future__ import annotations

import json

from include.dbt_cloud.models.operators import JOB, DbtCloudStartJobOperator
from tests.running_dbt_cloud import DAILY_BUILD
from tests.unit.dbt_cloud.conftest import RETRIES, MakeTask


def test_after_a_clear_a_fresh_run_counts_alone(make_task: MakeTask) -> None:
    task = make_task()
    for _ in range(2):
        task.try_number += 1
        run_job = DbtCloudStartJobOperator(
            task_id="run_job",
            retries=RETRIES,
            job_id=DAILY_BUILD,
            additional_run_config={"steps_override": ["dbt deps"]},
        )
        run_id = run_job.execute(task.context(run_job))
        task.server.wait(run_id)
        task.clear()

    assert len(task.runs) == 2
    assert json.loads(task.pushed[JOB])["runs"] == [run_id]

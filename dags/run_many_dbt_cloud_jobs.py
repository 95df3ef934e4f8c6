"""
### Run many dbt Cloud jobs

Runs every job whose name fits a pattern, such as `finance_*`, each in a mapped task with the job's
name. The jobs are found when the Dag runs, so a new job needs no change here.

- At most `RUNS_AT_ONCE` runs are started and waited for; waiting tasks count, and hold no worker.
- dbt Cloud starts a job with a completion trigger itself. If its parent is among the jobs too,
  `follow_jobs_1` waits for that run instead of starting a second one.
- A failed or deleted job stops no other. `summarize_jobs` fails at the end and names those jobs.
- No job starts if none fits, or if one has no commands.

**Needs** the connection `dbt_cloud_default` (as cloned, the local dbt Cloud) and Airflow 3.3. Turn
off the jobs' own schedules in dbt Cloud, or they run twice.

**To use it elsewhere** set `PROJECT_ID` and `JOB_NAMES`.
**Copy with** include/dbt_cloud/
"""

from __future__ import annotations

from typing import Any

import pendulum
from airflow.sdk import TriggerRule, dag, task

from include.dbt_cloud import DbtCloudRunJobExactlyOnceOperator, jobs

DBT_CLOUD_CONN_ID = "dbt_cloud_default"  # its login is your account id
# https://YOUR_ACCESS_URL/deploy/16173/projects/36467
PROJECT_ID = 36467
JOB_NAMES = "finance_*"  # upper and lower case differ
RUNS_AT_ONCE = 4  # dbt Cloud queues runs beyond the run slots of your plan
CHAIN = 2  # the most jobs that start one after the other by completion triggers
HOW_TO_RUN: dict[str, Any] = {
    "dbt_cloud_conn_id": DBT_CLOUD_CONN_ID,
    "check_interval": 5,  # seconds
    "execution_timeout": pendulum.duration(hours=1),
    "map_index_template": "{{ task.job_name }}",
}


@dag(
    schedule=None,
    start_date=pendulum.datetime(2026, 4, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    default_args={
        "owner": "analytics-engineering",
        "retries": 2,
        "retry_delay": pendulum.duration(seconds=30),
    },
    tags=["dbt Cloud"],
    doc_md=__doc__,
)
def run_many_dbt_cloud_jobs() -> None:
    @task
    def find_jobs(ti: Any = None) -> list[dict[str, Any]]:
        where = {"project_id": PROJECT_ID, "names": JOB_NAMES}
        return jobs.find_jobs(ti, DBT_CLOUD_CONN_ID, **where, levels=CHAIN)

    @task(trigger_rule=TriggerRule.ALL_DONE)
    def find_triggered_jobs(level: int, run_by: str, ti: Any = None) -> list[dict[str, Any]]:
        return jobs.triggered_jobs(ti, level, found_by="find_jobs", run_by=run_by)

    @task(trigger_rule=TriggerRule.ALL_DONE)
    def summarize_jobs(run_by: list[str], ti: Any = None) -> list[dict[str, Any]]:
        return jobs.summarize_jobs(ti, found_by="find_jobs", run_by=run_by)

    runs = [
        DbtCloudRunJobExactlyOnceOperator.partial(
            task_id="run_jobs", max_active_tis_per_dag=RUNS_AT_ONCE, **HOW_TO_RUN
        ).expand_kwargs(find_jobs())
    ]
    for level in range(1, CHAIN):
        triggered = find_triggered_jobs.override(task_id=f"find_triggered_jobs_{level}")(
            level, run_by=runs[-1].task_id
        )
        runs[-1] >> triggered
        follow = jobs.DbtCloudFollowTriggeredRunOperator.partial(
            task_id=f"follow_jobs_{level}", **HOW_TO_RUN
        )
        runs.append(follow.expand_kwargs(triggered))
    runs >> summarize_jobs(run_by=[run.task_id for run in runs])


run_many_dbt_cloud_jobs()

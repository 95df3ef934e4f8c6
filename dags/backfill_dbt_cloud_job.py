"""
### Backfill a dbt Cloud job

Each Dag run builds the days of its data interval: the job's microbatch models get
`--event-time-start` and `--event-time-end`. Use it for large tables of events, where rebuilding
everything takes hours.

- **Backfill** from Airflow's UI or CLI builds one day per Dag run, in any order. Clear a Dag run to
  rebuild its day, for example after late rows: no row is lost or doubled.
- **Trigger** builds the newest complete day; `days` builds more days in one dbt Cloud run, which is
  cheaper than a run for each.
- All runs of a job wait for each other in dbt Cloud, and `execution_timeout` includes that wait.

**Needs** Airflow 3.3 and the connection `dbt_cloud_default` (as cloned, the local dbt Cloud, with
orders from 2026-04-01 to 2026-09-30).

**To use it elsewhere** set `JOB_ID`, `MODELS` and the schedule.
**Copy with** include/dbt_cloud/
"""

from __future__ import annotations

import shlex
from typing import Any

import pendulum
from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudHook
from airflow.sdk import Param, dag, task
from airflow.timetables.interval import CronDataIntervalTimetable

from include.dbt_cloud import DbtCloudRunJobExactlyOnceOperator

# https://YOUR_ACCESS_URL/deploy/16173/projects/36467/jobs/48623
JOB_ID = 48623
DBT_CLOUD_CONN_ID = "dbt_cloud_default"  # its login is your account id
MODELS = "config.incremental_strategy:microbatch"  # dbt's selection syntax
TIMEZONE = "UTC"  # of the schedule; batches are always days in UTC
DAYS: dict[str, Any] = {"type": "integer", "minimum": 1, "maximum": 366}


@dag(
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone=TIMEZONE),
    start_date=pendulum.datetime(2026, 4, 1, tz=TIMEZONE),
    catchup=False,
    max_active_runs=4,
    params={"days": Param(1, **DAYS, title="Days to build, up to the end of the interval")},
    default_args={
        "owner": "analytics-engineering",
        "retries": 2,
        "retry_delay": pendulum.duration(seconds=30),
    },
    tags=["dbt Cloud"],
    doc_md=__doc__,
)
def backfill_dbt_cloud_job() -> None:
    @task
    def choose_days(
        params: dict[str, Any],
        dag_run: Any = None,
        data_interval_start: Any = None,
        data_interval_end: Any = None,
    ) -> list[str]:
        """Return the steps that build the days. The end of the event time is exclusive."""
        start, end = data_interval_start, data_interval_end
        if start == end:  # a manual run, or a schedule without intervals
            now = pendulum.instance(end or dag_run.run_after)
            end = now.in_tz(TIMEZONE).start_of("day")
            start = end.subtract(days=1)
        if end > pendulum.now():
            raise AirflowFailException(
                f"The interval ends in the future, at {end}: dbt would build incomplete days. "
                "Choose an earlier logical date."
            )
        start = start.in_tz(TIMEZONE).subtract(days=params["days"] - 1)
        words = ["dbt", "build", "--select", MODELS]
        for option, time in (("start", start), ("end", end)):
            words += [f"--event-time-{option}", f"{time.in_tz('UTC'):%Y-%m-%dT%H:%M:%S}"]
        return [shlex.join(words)]

    trigger_dbt_cloud_job_run = DbtCloudRunJobExactlyOnceOperator(
        task_id="trigger_dbt_cloud_job_run",
        job_id=JOB_ID,
        dbt_cloud_conn_id=DBT_CLOUD_CONN_ID,
        steps_override=choose_days(),
        additional_run_config={"generate_docs_override": False},  # for the results of the build
        check_interval=5,  # seconds
        execution_timeout=pendulum.duration(hours=3),
    )

    @task
    def list_batches(dbt_cloud_run_id: int) -> dict[str, int]:
        """Return the number of batches of each model."""
        hook = DbtCloudHook(DBT_CLOUD_CONN_ID)
        results = hook.get_job_run_artifact(dbt_cloud_run_id, "run_results.json").json()["results"]
        batches = {node["unique_id"]: node.get("batch_results") for node in results}
        built = {name: len(found["successful"]) for name, found in batches.items() if found}
        if not built:
            raise AirflowFailException(
                f"Run {dbt_cloud_run_id} built nothing: job {JOB_ID} has no microbatch model that "
                f"{MODELS} selects. See https://docs.getdbt.com/docs/build/incremental-microbatch"
            )
        return built

    list_batches(trigger_dbt_cloud_job_run.output)


backfill_dbt_cloud_job()

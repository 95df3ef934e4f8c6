"""Three Dags that go on once a dbt Cloud run has ended: ``finished_runs`` lets Airflow run them."""

from __future__ import annotations

from airflow.providers.dbt.cloud.operators.dbt import DbtCloudRunJobOperator
from airflow.providers.dbt.cloud.sensors.dbt import DbtCloudJobRunSensor
from airflow.sdk import Asset, dag, task

from include.dbt_cloud.events import job_runs

WEBHOOK_JOB, WATCHED_JOB, SENSED_JOB = 65767, 30605, 48617
INTERVAL = 5.0  # seconds between two looks, the watcher's and the sensor's
TOLD = job_runs(WEBHOOK_JOB, poll_interval=None)
WATCHED = job_runs(WATCHED_JOB, poll_interval=INTERVAL)
STEPS = ["dbt build --select stg_stores"]


@task
def go_on() -> str:
    return "dbt has ended"


def by_asset(dag_id: str, asset: Asset) -> None:
    @dag(dag_id=dag_id, schedule=asset, catchup=False)
    def goes_on() -> None:
        go_on()

    goes_on()


@dag(schedule=None)
def by_sensor() -> None:
    run_job = DbtCloudRunJobOperator(
        task_id="run_job",
        job_id=SENSED_JOB,
        steps_override=STEPS,
        wait_for_termination=False,
    )
    wait_for_run = DbtCloudJobRunSensor(
        task_id="wait_for_run",
        run_id="{{ ti.xcom_pull(task_ids='run_job') }}",  # type: ignore[arg-type]  # a template
        deferrable=True,
        poke_interval=INTERVAL,
    )
    run_job >> wait_for_run >> go_on()


by_asset("by_webhook", TOLD)
by_asset("by_watcher", WATCHED)
by_sensor()

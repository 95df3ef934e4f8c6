"""Three Dags that react to the end of a dbt Cloud run; ``finished_runs`` runs them in Airflow."""

from __future__ import annotations

from airflow.providers.dbt.cloud.operators.dbt import DbtCloudRunJobOperator
from airflow.providers.dbt.cloud.sensors.dbt import DbtCloudJobRunSensor
from airflow.sdk import Asset, dag, task

from include.dbt_cloud.events import job_runs

WEBHOOK_JOB, WATCHED_JOB, SENSED_JOB = 65767, 30605, 48617
INTERVAL = 5.0  # seconds between two polls of the watcher and the sensor
WEBHOOK_ASSET = job_runs(WEBHOOK_JOB, poll_interval=None)
WATCHED_ASSET = job_runs(WATCHED_JOB, poll_interval=INTERVAL)
STEPS = ["dbt build --select stg_stores"]


@task
def downstream() -> str:
    return "dbt has ended"


def by_asset(dag_id: str, asset: Asset) -> None:
    @dag(dag_id=dag_id, schedule=asset, catchup=False)
    def asset_dag() -> None:
        downstream()

    asset_dag()


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
    run_job >> wait_for_run >> downstream()


by_asset("by_webhook", WEBHOOK_ASSET)
by_asset("by_watcher", WATCHED_ASSET)
by_sensor()

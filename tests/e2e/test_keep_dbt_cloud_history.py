"""Each finished run is kept, and its models are published once, whoever started the run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from include.local_dbt_cloud.serving.connections import DBT_CLOUD
from tests.e2e.airflow_client import Airflow
from tests.e2e.project import Project
from tests.e2e.test_job_dags import missing_table
from tests.e2e.test_models import MARTS, NAMESPACE, STAGING, published
from tests.e2e.watching import run_outside
from tests.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.group(name="airflow-b")]

DAG = "keep_dbt_cloud_history"
JOB_ID = 30605
PUBLISHED = "publish_models_as_assets"


@pytest.fixture(autouse=True)
def paused(airflow: Airflow) -> Iterator[None]:
    """Pause the Dag, because an event of the run would start a second Dag run."""
    airflow.call("PATCH", f"/dags/{DAG}", is_paused=True)
    yield
    airflow.call("PATCH", f"/dags/{DAG}", is_paused=True)


def dbt_run(project: Project, **overrides: Any) -> int:
    """Return a finished run that Airflow did not start."""
    return int(run_outside(project, JOB_ID, cause="Scheduled", **overrides)["id"])


def account(project: Project) -> Path:
    """Return the folder with the kept runs of the local dbt Cloud's account."""
    place = f"localhost_{project.dbt_cloud_port}/{DBT_CLOUD.login}"
    return project.root / "include" / ".local" / "history" / place


def kept(project: Project, run_id: int, job_id: int = JOB_ID) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((account(project) / f"{job_id}/{run_id}.json").read_text())
    return content


def test_run_is_kept_and_its_models_are_published_once(airflow: Airflow, project: Project) -> None:
    run_id = dbt_run(project)

    dag_run, states = airflow.run(DAG, run_id=run_id)

    assert set(states.values()) == {"success"}
    assert kept(project, run_id)["run"]["trigger"]["cause"] == "Scheduled"
    events = published(airflow, DAG, dag_run)
    names = {*MARTS, *(f"stg_{name}" for name in STAGING)}
    assert set(events) == {f"{NAMESPACE}/{name}" for name in names}
    assert {extra["run_id"] for extra in events.values()} == {run_id}
    again, _ = airflow.run(DAG, run_id=run_id)
    assert published(airflow, DAG, again) == {}


def test_failed_run_is_kept_with_its_error_and_publishes_built_models(
    airflow: Airflow, project: Project
) -> None:
    with missing_table(project, "stores"):
        run_id = dbt_run(project, steps_override=["dbt build --select stg_stores stg_products"])

    dag_run, states = airflow.run(DAG, run_id=run_id)

    assert set(states.values()) == {"success"}
    (failed,) = (node for node in kept(project, run_id)["nodes"] if node["status"] == "error")
    assert failed["unique_id"] == "model.jaffle_shop.stg_stores"
    assert "stores does not exist" in failed["message"]
    assert set(published(airflow, DAG, dag_run)) == {f"{NAMESPACE}/stg_products"}


def test_models_already_published_by_their_tasks_are_not_published_again(
    airflow: Airflow, project: Project
) -> None:
    published_by, _ = airflow.run(PUBLISHED)
    run_id = airflow.xcom(PUBLISHED, published_by, "jaffle_shop.run_job")

    dag_run, _ = airflow.run(DAG, run_id=run_id)

    assert kept(project, run_id, job_id=65767)
    assert published(airflow, DAG, dag_run) == {}


def test_run_event_starts_the_dag_that_keeps_the_run(airflow: Airflow, project: Project) -> None:
    airflow.call("PATCH", f"/dags/{DAG}", is_paused=False)
    run_id = dbt_run(project, steps_override=["dbt run --select stg_stores"])

    found = eventually(lambda: files_of(project, run_id), "the event has started the Dag")

    assert [file.parent.name for file in found] == [str(JOB_ID)]


def files_of(project: Project, run_id: int) -> list[Any]:
    return list(account(project).glob(f"*/{run_id}.json"))


def test_unknown_run_fails_without_retries_and_logs_the_404(airflow: Airflow) -> None:
    dag_run, states = airflow.run(DAG, run_id=10**9)

    assert states == {"find_runs": "success", "keep_runs": "failed"}
    assert airflow.tasks(DAG, dag_run)["keep_runs"]["try_number"] == 1
    assert "Could not store run 1000000000: dbt Cloud returned 404" in airflow.log(
        DAG, dag_run, "keep_runs"
    )

"""The two dbt Core Dags, on a real scheduler: same dbt project, same warehouse."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, pairwise

import pytest

from tests.e2e.airflow_client import Airflow
from tests.e2e.project import Project
from tests.e2e.test_job_dags import missing_table
from tests.e2e.variants import BY_MODEL, THREE_MODELS, WATCHED

pytestmark = [pytest.mark.slow, pytest.mark.group(name="airflow-a")]

ONE_TASK = "run_dbt_core_in_one_task"
PARSED_ANEW = "Unable to do partial parsing"
PASSWORD = "Correct_horse_battery_staple"


@pytest.fixture
def no_marts(airflow: Airflow, project: Project) -> None:
    """Nothing has been built yet, so that what a test finds was built in it."""
    with project.warehouse() as connection:
        connection.execute("drop schema if exists analytics cascade")


@contextmanager
def password_names_the_schema(airflow: Airflow, project: Project) -> Iterator[None]:
    """Give the connection a password that dbt's profile uses visibly."""
    profile = project.root / "include" / "jaffle_shop" / "profiles.yml"
    text, path = profile.read_text(), "/connections/warehouse_default"
    connection = airflow.call("GET", path)
    secret = "schema: \"{{ env_var('DBT_ENV_SECRET_WAREHOUSE_PASSWORD') }}\""
    profile.write_text(text.replace("schema: analytics", secret))
    airflow.call("PATCH", path, **connection | {"password": PASSWORD})
    try:
        yield
    finally:
        profile.write_text(text)
        airflow.call("PATCH", path, **connection | {"password": None})
        with project.warehouse() as warehouse:
            warehouse.execute(f"drop schema if exists {PASSWORD} cascade")


def schemas_with_customers(project: Project) -> list[tuple[str]]:
    tables = "select table_schema from information_schema.tables where table_name = 'customers'"
    return project.query(f"{tables} and table_schema != 'raw'")


@pytest.fixture(scope="module")
def together(airflow: Airflow) -> dict[str, str]:
    """Start a Dag run of each at once, before dbt has parsed anything."""
    return airflow.first_runs(ONE_TASK, BY_MODEL)


def test_tasks_of_both_dags_never_overlap(airflow: Airflow, together: dict[str, str]) -> None:
    runs = [airflow.tasks(*run).values() for run in together.items()]
    tasks = sorted(chain(*runs), key=lambda task: str(task["start_date"]))

    assert len(tasks) == 1 + 13
    assert {task["try_number"] for task in tasks} == {1}
    for earlier, later in pairwise(tasks):
        assert earlier["end_date"] <= later["start_date"]


def test_only_the_first_task_of_a_dag_parses_the_project(
    airflow: Airflow, together: dict[str, str]
) -> None:
    run_id = together[BY_MODEL]
    tasks = airflow.tasks(BY_MODEL, run_id)
    in_turn = sorted(tasks, key=lambda name: str(tasks[name]["start_date"]))
    logs = [airflow.log(BY_MODEL, run_id, name) for name in in_turn]

    assert all("Found 13 models" in log for log in logs)
    assert [PARSED_ANEW in log for log in logs] == [True] + [False] * 12


def test_only_the_first_run_of_the_one_task_parses_the_project(
    airflow: Airflow, together: dict[str, str]
) -> None:
    run_ids = [together[ONE_TASK], airflow.run(ONE_TASK)[0]]
    logs = [airflow.log(ONE_TASK, run_id, "dbt_build") for run_id in run_ids]

    assert all("Found 13 models" in log for log in logs)
    assert [PARSED_ANEW in log for log in logs] == [True, False]


def test_run_dbt_core_in_one_task_builds_all_models_and_masks_the_password(
    airflow: Airflow, project: Project, no_marts: None
) -> None:
    with password_names_the_schema(airflow, project):
        run_id, states = airflow.run(ONE_TASK)
        built = schemas_with_customers(project)

    assert states == {"dbt_build": "success"}
    assert built == [(PASSWORD,)]
    log = airflow.log(ONE_TASK, run_id, "dbt_build")
    assert "ERROR=0" in airflow.xcom(ONE_TASK, run_id, "dbt_build")
    assert "created sql table model *****.customers" in log
    task = airflow.tasks(ONE_TASK, run_id)["dbt_build"]
    assert task["rendered_fields"]["env"]["WAREHOUSE_PATH"] == str(project.warehouse_file)
    for said in (log, str(task), airflow.api.get("/connections").text):
        assert PASSWORD not in said


def test_watcher_mode_marks_each_model_of_one_dbt_run(
    airflow: Airflow, project: Project, no_marts: None
) -> None:
    run_id, states = airflow.run(WATCHED)

    assert set(states.values()) == {"success"}
    tasks = airflow.tasks(WATCHED, run_id)
    watching, build = tasks["jaffle_shop.stg_stores_run"], tasks["jaffle_shop.dbt_producer_watcher"]
    assert watching["start_date"] < build["end_date"]
    assert (watching["pool"], build["pool"]) == ("default_pool", "warehouse")
    assert schemas_with_customers(project) == [("analytics",)]


def test_failed_model_fails_the_one_task_or_only_downstream_tasks(
    airflow: Airflow, project: Project
) -> None:
    with missing_table(project, "stores"):
        whole, run_id = airflow.trigger(ONE_TASK), airflow.trigger(THREE_MODELS)
        assert airflow.wait(ONE_TASK, whole) == "failed"
        assert airflow.wait(THREE_MODELS, run_id) == "failed"

    assert "Table with name stores does not exist" in airflow.log(ONE_TASK, whole, "dbt_build")
    before = airflow.tasks(THREE_MODELS, run_id)
    assert {name.removeprefix("jaffle_shop."): task["state"] for name, task in before.items()} == {
        "stg_products_run": "success",
        "stg_stores_run": "failed",
        "stores_run": "upstream_failed",
        "jaffle_shop_test": "upstream_failed",
    }

    airflow.clear(THREE_MODELS, run_id, "jaffle_shop.stg_stores_run")
    assert airflow.wait(THREE_MODELS, run_id) == "success"

    after = airflow.tasks(THREE_MODELS, run_id)
    kept = "jaffle_shop.stg_products_run"
    assert after[kept]["start_date"] == before[kept]["start_date"]
    assert set(airflow.states(THREE_MODELS, run_id).values()) == {"success"}
    assert project.query("select count(*) > 1 from analytics.stores") == [(True,)]

"""The Dags that choose, create and resume jobs, on a real scheduler and local dbt Cloud."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.e2e.airflow_client import Airflow
from tests.e2e.project import Project
from tests.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.group(name="airflow-b")]

TRIGGER = "trigger_dbt_cloud_job_run"
FORM = "run_dbt_cloud_job_with_form"
RERUN = "rerun_dbt_cloud_job_from_failure"
FINISH = "finish_failed_run"
JOB_ID = 65767


def nodes(project: Project, dbt_run: int) -> dict[str, str]:
    """Name → status of every node in the first command of the job."""
    path = f"/runs/{dbt_run}/artifacts/run_results.json?step=4"
    results = project.dbt_cloud.get(path).raise_for_status().json()["results"]
    return {result["unique_id"].split(".")[2]: result["status"] for result in results}


@contextmanager
def missing_table(project: Project, table: str) -> Iterator[None]:
    """While it lasts, models that read this source fail and those after them are skipped."""
    with project.warehouse() as connection:
        connection.execute(f"alter table raw.{table} rename to {table}_away")
    try:
        yield
    finally:
        with project.warehouse() as connection:
            connection.execute(f"alter table raw.{table}_away rename to {table}")


@pytest.fixture(scope="module")
def failed(airflow: Airflow, project: Project) -> int:
    return failed_run(airflow, project)


def failed_run(airflow: Airflow, project: Project) -> int:
    """Return a failed run of the job whose cause is repaired."""
    with missing_table(project, "stores"):
        assert airflow.run("run_dbt_cloud_job")[1] == {TRIGGER: "failed"}
    return int(project.dbt_runs(job_definition_id=JOB_ID, status=20)[0]["id"])


@pytest.mark.parametrize(
    ("dag_id", "rhythm"),
    [("hourly_dbt_cloud_job", "hourly"), ("daily_dbt_cloud_job", "daily")],
)
def test_hourly_and_daily_dags_build_the_models_of_their_tag(
    airflow: Airflow, project: Project, dag_id: str, rhythm: str
) -> None:
    run_id = airflow.first_run(dag_id)

    built = nodes(project, airflow.xcom(dag_id, run_id, TRIGGER))
    manifest = project.dbt_cloud.get(
        f"/runs/{airflow.xcom(dag_id, run_id, TRIGGER)}/artifacts/manifest.json"
    ).json()
    assert set(built) == {
        node["name"]
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model" and rhythm in node["tags"]
    }


def test_the_form_chooses_models_and_schema(airflow: Airflow, project: Project) -> None:
    answers: dict[str, Any] = {"select": "stg_orders stg_stores", "exclude": "stg_stores"}
    answers |= {"schema": "scratch", "vars": {"who": "it's me; dbt run"}, "full_refresh": True}
    run_id, states = airflow.run(FORM, **answers)

    assert set(states.values()) == {"success"}
    built = nodes(project, airflow.xcom(FORM, run_id, TRIGGER))
    assert "stg_orders" in built
    assert "stg_stores" not in built
    assert project.query(
        "select table_schema from information_schema.tables where table_name = 'stg_orders'"
        " order by 1"
    ) == [("analytics",), ("scratch",)]


@pytest.mark.parametrize("defer", [False, True])
def test_form_builds_a_selection_in_another_schema_only_with_deferral(
    airflow: Airflow, project: Project, defer: bool
) -> None:
    airflow.first_run("run_dbt_cloud_job")  # there is a production to read from
    schema = f"part_{defer}".lower()
    run_id, states = airflow.run(FORM, select="orders+", schema=schema, defer=defer)

    assert states[TRIGGER] == ("success" if defer else "failed")
    assert airflow.tasks(FORM, run_id)[TRIGGER]["try_number"] == 1
    built = {"orders", "order_items", "customers", "daily_revenue", "products", "stores"}
    found = project.query(
        f"select table_name from information_schema.tables where table_schema = '{schema}'"
    )
    assert {name for (name,) in found} == (built if defer else set())
    if not defer:
        assert "stg_orders" in airflow.log(FORM, run_id, TRIGGER)


def test_deferral_into_production_itself_is_refused(airflow: Airflow) -> None:
    run_id, states = airflow.run(FORM, select="orders+", defer=True)

    assert states["read_form"] == "failed"
    assert "set another schema" in airflow.log(FORM, run_id, "read_form")


@pytest.mark.parametrize(
    "answers",
    [
        {"select": "orders; rm -rf /"},
        {"select": "--profiles-dir /tmp"},
        {"exclude": "orders --target x"},
        {"select": "$(id)"},
        {"schema": 'x"; drop schema raw'},
        {"target": "prod default"},
        {"vars": "{not json"},
        {"full_refresh": "perhaps"},
    ],
    ids=str,
)
def test_form_rejects_invalid_values_before_any_call(
    airflow: Airflow, project: Project, answers: dict[str, str]
) -> None:
    newest = project.dbt_runs()[0]["id"]

    refused = airflow.api.post(
        f"/dags/{FORM}/dagRuns", json={"logical_date": None, "conf": answers}
    )

    assert refused.status_code in (400, 422), refused.text
    assert next(iter(answers)) in refused.text
    assert project.dbt_runs()[0]["id"] == newest


def test_a_job_is_created_once_updated_when_different_and_run(
    airflow: Airflow, project: Project
) -> None:
    dag_id = "create_and_run_dbt_cloud_job"

    def jobs() -> list[dict[str, Any]]:
        found = project.dbt_cloud.get("/jobs/", params={"name__icontains": "marts and"})
        listed: list[dict[str, Any]] = found.raise_for_status().json()["data"]
        return listed

    for job in jobs():  # of an earlier run
        project.dbt_cloud.delete(f"/jobs/{job['id']}/").raise_for_status()
    together = [airflow.trigger(dag_id) for _ in range(2)]
    assert [airflow.wait(dag_id, run_id) for run_id in together] == ["success", "success"]
    (created,) = jobs()
    assert created["execute_steps"] == ["dbt build --select +marts"]

    changed = created | {"execute_steps": ["dbt run"]}
    project.dbt_cloud.post(f"/jobs/{created['id']}/", json=changed).raise_for_status()
    run_id, states = airflow.run(dag_id)

    assert set(states.values()) == {"success"}
    (updated,) = jobs()
    assert updated["id"] == created["id"]
    assert updated["execute_steps"] == ["dbt build --select +marts"]
    assert airflow.xcom(dag_id, run_id, "create_or_update_job") == created["id"]

    first = {"cause": "the first of all", "schema_override": "nothing_there"}
    asked = project.dbt_cloud.post(f"/jobs/{created['id']}/run/", json=first).raise_for_status()
    number = asked.json()["data"]["id"]

    def ended() -> list[dict[str, Any]]:
        return [run for run in project.dbt_runs(pk=number) if run["is_complete"]]

    (run,) = eventually(ended, "the run in an empty schema ends")
    assert run["is_success"], run["status_message"]


def test_the_newest_failed_run_is_resumed_where_it_failed(
    airflow: Airflow, project: Project, failed: int
) -> None:
    run_id, states = airflow.run(RERUN)

    assert set(states.values()) == {"success"}
    resumed = airflow.xcom(RERUN, run_id, FINISH)
    (run,) = (run for run in project.dbt_runs() if run["id"] == resumed)
    assert run["retrying_run_id"] == failed
    built = nodes(project, resumed)
    assert built["stg_stores"] == "success"
    assert "stg_customers" not in built
    assert airflow.xcom(RERUN, run_id, FINISH, "job_run_id") == resumed
    assert airflow.xcom(RERUN, run_id, FINISH, "job_run_url") == run["href"]
    link = f"/dags/{RERUN}/dagRuns/{run_id}/taskInstances/{FINISH}/links"
    links = airflow.call("GET", link)["extra_links"]
    assert links.keys() == {"Monitor Job Run", "Run timeline"}
    assert links["Monitor Job Run"] == run["href"]
    log = airflow.log(RERUN, run_id, FINISH)
    for words in (f"Run {failed} failed", "1 failed: model.jaffle_shop.stg_stores", run["href"]):
        assert words in log
    assert re.search(r"skipped: [^\n]*model\.jaffle_shop\.stores\b", log)
    again, _ = airflow.run(RERUN, run_id=failed)
    assert airflow.xcom(RERUN, again, FINISH) == resumed


def test_run_that_cannot_be_resumed_is_rebuilt_and_the_reason_is_logged(
    airflow: Airflow, project: Project
) -> None:
    failed = failed_run(airflow, project)
    assert airflow.run("run_dbt_cloud_job")[1] == {TRIGGER: "success"}

    run_id, states = airflow.run(RERUN, run_id=failed)

    assert set(states.values()) == {"success"}
    assert "the job has run again since" in airflow.log(RERUN, run_id, FINISH)
    built = nodes(project, airflow.xcom(RERUN, run_id, FINISH))
    assert built["stg_stores"] == "success"
    assert "stg_customers" not in built


def test_finish_failed_run_rejects_a_successful_run(airflow: Airflow, project: Project) -> None:
    quick = {"cause": "test", "steps_override": ["dbt deps"]}
    started = project.dbt_cloud.post(f"/jobs/{JOB_ID}/run/", json=quick).raise_for_status()
    succeeded = started.json()["data"]["id"]
    eventually(lambda: succeeded in {run["id"] for run in project.dbt_runs(status=10)}, "it ends")

    run_id, states = airflow.run(RERUN, run_id=succeeded)

    assert states == {"find_failed_run": "success", FINISH: "failed"}
    assert f"Run {succeeded} did not fail" in airflow.log(RERUN, run_id, FINISH)

"""A pull request's commits are built, tested and, in the end, cleaned away; production stays."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.docs.ci_cd_page import check_workflow, filled_in, pieces
from tests.e2e.airflow_client import Airflow
from tests.e2e.git import git
from tests.e2e.project import Project
from tests.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.group(name="airflow-a")]

DAG, TRIGGER, REPORT = "check_dbt_pull_request", "trigger_dbt_cloud_job_run", "report_check"
SCHEMA = "dbt_cloud_pr_48621_7"
ORDERS = Path("include/jaffle_shop/models/marts/orders.sql")
END = "select * from final\n"


@pytest.fixture(scope="module")
def commits(project: Project, main_commit: str) -> dict[str, str]:
    """Name → commit of a changed model; what is checked out is what production has built."""
    model, found = project.root / ORDERS, {}
    text = model.read_text()
    assert text.endswith(END)
    changes = {
        "sound": "select *, 1 as checked from final\n",
        "broken": "select * from final union all select * from final\n",
    }
    for name, end in changes.items():
        model.write_text(text.removesuffix(END) + end)
        git(project, "commit", "--quiet", "--all", f"--message={name}")
        found[name] = git(project, "rev-parse", "HEAD")
        git(project, "reset", "--quiet", "--hard", "HEAD~1")
    return found


@pytest.fixture
def clean(project: Project) -> Iterator[None]:
    """Drop the schema that a test leaves of its pull request."""
    yield
    with project.warehouse() as connection:
        connection.execute(f"drop schema if exists {SCHEMA} cascade")


def tables(project: Project, schema: str) -> set[str]:
    found = project.query(
        f"select table_name from information_schema.tables where table_schema = '{schema}'"
    )
    return {name for (name,) in found}


def start_as_github_does(airflow: Airflow, commit: str, closed: bool = False) -> str:
    """Run the workflow's own step; return the Dag run's id."""
    airflow.call("PATCH", f"/dags/{DAG}", is_paused=False)
    job = check_workflow()["jobs"]["start"]
    variables = {
        name: filled_in(
            value,
            vars_AIRFLOW_URL=f"http://127.0.0.1:{airflow.port}",
            secrets_AIRFLOW_TOKEN=airflow.api.headers["Authorization"].removeprefix("Bearer "),
            github_event_number="7",
            github_event_pull_request_head_sha=commit,
            toJSON_github_head_ref='"feature/checked"',
            github_event_action_closed=json.dumps(closed),
        )
        for name, value in job["env"].items()
    }
    [step] = job["steps"]
    answer = subprocess.check_output(
        ["bash", "-e", "-c", step["run"]], env={"PATH": os.environ["PATH"]} | variables, text=True
    )
    return str(json.loads(answer)["dag_run_id"])


def result(airflow: Airflow, run_id: str) -> dict[str, Any]:
    found: dict[str, Any] = airflow.xcom(DAG, run_id, REPORT)
    return found


def test_commit_is_built_in_its_own_schema_which_closing_drops(
    airflow: Airflow, project: Project, commits: dict[str, str], clean: None
) -> None:
    production = project.query(
        "select md5(string_agg(o::varchar, '' order by o)) from analytics.orders o"
    )
    run_id = start_as_github_does(airflow, commits["sound"])
    assert airflow.wait(DAG, run_id) == "success"

    found = result(airflow, run_id)
    assert (found["status"], found["commit"]) == ("Success", commits["sound"])
    assert found["failed_tests"] == found["failed_models"] == []
    assert {"orders", "daily_revenue"} <= set(found["built"]) == tables(project, SCHEMA)
    assert "stg_orders" in found["deferred"]
    assert set(found["deferred"]) <= tables(project, "analytics")
    assert project.query(f"select distinct checked from {SCHEMA}.orders") == [(1,)]
    assert "stg_orders" in airflow.log(DAG, run_id, REPORT)

    run_id = start_as_github_does(airflow, commits["sound"], closed=True)
    assert airflow.wait(DAG, run_id) == "success"
    assert tables(project, SCHEMA) == set()
    assert production == project.query(
        "select md5(string_agg(o::varchar, '' order by o)) from analytics.orders o"
    )


def test_commit_that_breaks_a_dbt_test_fails_without_retries_and_names_it(
    airflow: Airflow, project: Project, commits: dict[str, str], clean: None
) -> None:
    run_id = start_as_github_does(airflow, commits["broken"])
    assert airflow.wait(DAG, run_id) == "failed"

    found = result(airflow, run_id)
    assert found["status"] == "Error"
    assert "unique_orders_order_id" in found["failed_tests"]
    assert "orders" in found["built"]
    assert airflow.states(DAG, run_id)[REPORT] == "success"
    assert airflow.tasks(DAG, run_id)[TRIGGER]["try_number"] == 1
    assert "unique_orders_order_id" in airflow.log(DAG, run_id, TRIGGER)

    other = {"cause": "another pull request", "steps_override": ["dbt deps"]}
    project.dbt_cloud.post("/jobs/48621/run/", json=other).raise_for_status()
    airflow.clear(DAG, run_id, TRIGGER)
    assert airflow.wait(DAG, run_id) == "failed"  # production's orders are sound, these are not
    assert "unique_orders_order_id" in result(airflow, run_id)["failed_tests"]


def test_newer_commit_cancels_the_check_of_the_older_one(
    airflow: Airflow, project: Project, commits: dict[str, str], clean: None
) -> None:
    with project.warehouse():  # dbt waits for it, so the older run goes on
        older = start_as_github_does(airflow, commits["broken"])
        airflow.wait_for_task(DAG, older, TRIGGER, "deferred")
        newer = start_as_github_does(airflow, commits["sound"])
        assert airflow.wait(DAG, older) == "failed"
    assert airflow.wait(DAG, newer) == "success"

    assert result(airflow, older)["status"] == "Cancelled"
    assert airflow.tasks(DAG, older)[TRIGGER]["try_number"] == 1
    assert result(airflow, newer)["commit"] == commits["sound"]
    assert project.query(f"select distinct checked from {SCHEMA}.orders") == [(1,)]


def test_closing_a_pull_request_cancels_its_check_and_drops_its_schema(
    airflow: Airflow, project: Project, commits: dict[str, str], clean: None
) -> None:
    with project.warehouse() as connection:  # dbt waits for it, so the check goes on
        connection.execute(f"create schema {SCHEMA}")
        check = start_as_github_does(airflow, commits["sound"])
        airflow.wait_for_task(DAG, check, TRIGGER, "deferred")
        closing = start_as_github_does(airflow, commits["sound"], closed=True)
        assert airflow.wait(DAG, check) == "failed"
    assert airflow.wait(DAG, closing) == "success"

    assert result(airflow, check)["status"] == "Cancelled"
    schemas = project.query("select schema_name from information_schema.schemata")
    assert (SCHEMA,) not in schemas


def test_documented_command_checks_the_current_commit(
    airflow: Airflow, project: Project, commits: dict[str, str], clean: None
) -> None:
    airflow.call("PATCH", f"/dags/{DAG}", is_paused=False)
    [piece] = pieces("bash")
    script = piece.replace("127.0.0.1:8080", f"127.0.0.1:{airflow.port}")
    answer = subprocess.check_output(["bash", "-e", "-c", script], cwd=project.root, text=True)
    run_id = json.loads(answer)["dag_run_id"]
    assert airflow.wait(DAG, run_id) == "success"

    found = result(airflow, run_id)
    assert found["commit"] == git(project, "rev-parse", "HEAD")
    assert found["built"] == found["deferred"] == []  # it is what production has built


def test_read_form_rejects_missing_and_unknown_fields(airflow: Airflow) -> None:
    refusals: list[tuple[dict[str, Any], str]] = [
        ({"pull_request": 7}, "its commit or closed"),
        ({"commit": "0" * 40}, "Set the number of the pull request"),
        ({"pull_requests": 7}, "The form has no field pull_requests"),
    ]
    run_ids = [airflow.trigger(DAG, **conf) for conf, _said in refusals]

    for run_id, (_conf, said) in zip(run_ids, refusals, strict=True):
        assert airflow.wait(DAG, run_id) == "failed"
        assert said in airflow.log(DAG, run_id, "read_form")


def test_drop_pull_request_schema_refuses_the_production_schema(
    project: Project, commits: dict[str, str]
) -> None:
    body = {"cause": "test", "steps_override": ["dbt run-operation drop_pull_request_schema"]}
    run = project.dbt_cloud.post("/jobs/48621/run/", json=body).raise_for_status().json()["data"]

    def ended() -> dict[str, Any] | None:
        found = project.dbt_runs(pk=run["id"])[0]
        return found if found["is_complete"] else None

    assert eventually(ended, "the run ends")["is_error"]
    assert tables(project, "analytics")

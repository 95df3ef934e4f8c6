"""Jobs of two projects start a Dag; nobody calls Airflow, its watchers ask dbt Cloud."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from include.dbt_cloud.events import job_runs
from tests.e2e.airflow_client import Airflow
from tests.e2e.project import Project
from tests.e2e.watching import (
    QUICK,
    begin_to_watch,
    dag_run_of,
    event_counts,
    no_webhooks,
    run_outside,
)

pytestmark = [pytest.mark.slow, pytest.mark.group(name="airflow-b")]

DAG = "wait_for_jobs_of_two_projects"
REQUIRE, COMPARE = "require_success", "compare_revenue"
SHOP_JOB, FINANCE_JOB = 65767, 48640
SHOP, FINANCE = job_runs(SHOP_JOB), job_runs(FINANCE_JOB)


@pytest.fixture(scope="module", autouse=True)
def watching(airflow: Airflow, project: Project) -> Iterator[None]:
    with no_webhooks(project):
        begin_to_watch(airflow, DAG, SHOP, FINANCE)
        yield
    airflow.call("PATCH", f"/dags/{DAG}", is_paused=True)


def test_runs_of_both_projects_start_one_comparison(airflow: Airflow, project: Project) -> None:
    runs = [run_outside(project, job) for job in (SHOP_JOB, FINANCE_JOB)]

    dag_run = dag_run_of(airflow, FINANCE, runs[1]["id"])

    assert dag_run == dag_run_of(airflow, SHOP, runs[0]["id"])
    assert airflow.wait(DAG, dag_run) == "success"
    assert airflow.states(DAG, dag_run) == {REQUIRE: "success", COMPARE: "success"}
    urls = [run["href"] for run in runs]
    required = airflow.xcom(DAG, dag_run, REQUIRE)
    assert required["newest"] == urls
    assert required["started_by"][-2:] == urls  # after what other tests have run of these jobs
    revenue = "select count(*), sum(revenue)::double from {}.daily_revenue"
    (compared,) = project.query(revenue.format("finance"))
    assert project.query(revenue.format("analytics")) == [compared]
    compared_rows = airflow.xcom(DAG, dag_run, COMPARE)
    assert (compared_rows["days_and_stores"], compared_rows["revenue"]) == compared
    for asset, run in zip((SHOP, FINANCE), runs, strict=True):
        assert event_counts(airflow, asset)[run["id"]] == 1


def test_require_success_names_the_failed_job_and_passes_after_its_rerun(
    airflow: Airflow, project: Project
) -> None:
    failed = run_outside(project, FINANCE_JOB, "dbt run-operation no_such_macro")
    run_outside(project, SHOP_JOB, QUICK)
    dag_run = dag_run_of(airflow, FINANCE, failed["id"])

    assert airflow.wait(DAG, dag_run) == "failed"
    assert airflow.states(DAG, dag_run) == {REQUIRE: "failed", COMPARE: "upstream_failed"}
    message = f"Run {failed['id']} of Finance build ended with error: {failed['href']}"
    assert message in airflow.log(DAG, dag_run, REQUIRE)

    run_outside(project, FINANCE_JOB, QUICK)
    airflow.clear(DAG, dag_run, REQUIRE)

    assert airflow.wait(DAG, dag_run) == "success"


def test_manual_run_fails_when_revenue_differs_between_projects(
    airflow: Airflow, project: Project, sound_warehouse: None
) -> None:
    project.query(
        "update finance.daily_revenue set revenue = revenue + 1"
        " where ordered_on = (select max(ordered_on) from finance.daily_revenue)"
    )

    dag_run, states = airflow.run(DAG)

    assert states == {REQUIRE: "success", COMPARE: "failed"}
    assert "Check failed: revenue is equal in both (" in airflow.log(DAG, dag_run, COMPARE)

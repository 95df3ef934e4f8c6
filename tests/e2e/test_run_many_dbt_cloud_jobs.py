"""Many jobs in one Dag run: found by name, limited, ordered by dbt Cloud, and reported."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.e2e.airflow_client import Airflow
from tests.e2e.project import Project
from tests.e2e.variants import IN_A_POOL, ONE_BY_ONE
from tests.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.group(name="airflow-b")]

DAG = "run_many_dbt_cloud_jobs"
RUN, FOLLOW, SUMMARY = "run_jobs", "follow_jobs_1", "summarize_jobs"
QUICK, BUILD = "dbt deps", "dbt build --select stg_stores"
FAILS = "dbt run-operation no_such_macro"
STAGING, ORDERS, STORES = 48651, 48652, 48653


@pytest.fixture
def jobs(project: Project) -> Iterator[Jobs]:
    jobs = Jobs(project)
    yield jobs
    for job_id in jobs.ids:
        project.dbt_cloud.delete(f"/jobs/{job_id}/")


class Jobs:
    def __init__(self, project: Project) -> None:
        self.project = project
        self.ids: list[int] = []

    def make(self, name: str, step: str, after: int | None = None) -> int:
        condition = {"job_id": after, "project_id": 36467, "statuses": [10]}
        job = {
            "account_id": 16173,
            "project_id": 36467,
            "environment_id": 29118,
            "name": name,
            "execute_steps": [step],
            "job_completion_trigger_condition": {"condition": condition} if after else None,
        }
        made = self.project.dbt_cloud.post("/jobs/", json=job).raise_for_status()
        self.ids.append(made.json()["data"]["id"])
        return self.ids[-1]

    def runs(self, job_id: int) -> list[dict[str, Any]]:
        return self.project.dbt_runs(job_definition_id=job_id, include_related="trigger")


def mapped(airflow: Airflow, dag_id: str, run_id: str, task_id: str) -> list[dict[str, Any]]:
    """Return the mapped task instances, by index."""
    path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances?limit=100&task_id={task_id}"
    found = airflow.call("GET", path)["task_instances"]
    return sorted((one for one in found if one["task_id"] == task_id), key=index)


def index(task: dict[str, Any]) -> int:
    return int(task["map_index"])


def labels(tasks: list[dict[str, Any]]) -> dict[str, str | None]:
    return {task["rendered_map_index"]: task["state"] for task in tasks}


def log_of(airflow: Airflow, dag_id: str, run_id: str, task: dict[str, Any]) -> str:
    path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task['task_id']}/logs/"
    response = airflow.api.get(
        f"{path}{task['try_number']}",
        params={"map_index": task["map_index"]},
        headers={"Accept": "application/x-ndjson"},
    )
    assert response.is_success, response.text
    return response.text


@contextmanager
def missing_stores(project: Project) -> Iterator[None]:
    with project.warehouse() as connection:
        connection.execute("alter table raw.stores rename to stores_away")
    try:
        yield
    finally:
        with project.warehouse() as connection:
            connection.execute("alter table raw.stores_away rename to stores")


def test_found_jobs_run_once_and_in_the_order_of_their_triggers(
    airflow: Airflow, project: Project
) -> None:
    before = {job: len(Jobs(project).runs(job)) for job in (STAGING, ORDERS, STORES)}

    run_id, states = airflow.run(DAG)

    assert set(states.values()) == {"success"}
    assert labels(mapped(airflow, DAG, run_id, RUN)) == {
        "finance_staging": "success",
        "finance_stores": "success",
    }
    assert labels(mapped(airflow, DAG, run_id, FOLLOW)) == {"finance_orders": "success"}
    runs = {job: Jobs(project).runs(job) for job in before}
    assert {job: len(found) - before[job] for job, found in runs.items()} == dict.fromkeys(
        before, 1
    )
    assert runs[ORDERS][0]["trigger"]["cause_category"] == "job completion"
    assert runs[ORDERS][0]["created_at"] >= runs[STAGING][0]["finished_at"]
    report = airflow.xcom(DAG, run_id, SUMMARY)
    assert {job["url"] for job in report} == {found[0]["href"] for found in runs.values()}


def test_failed_job_stops_no_other_and_is_resumed_after_a_clear(
    airflow: Airflow, project: Project, sound_warehouse: None
) -> None:
    airflow.first_run(DAG)
    with missing_stores(project):
        run_id, states = airflow.run(DAG)

    assert states[SUMMARY] == "failed"
    tasks = mapped(airflow, DAG, run_id, RUN)
    assert labels(tasks) == {"finance_staging": "success", "finance_stores": "failed"}
    assert labels(mapped(airflow, DAG, run_id, FOLLOW)) == {"finance_orders": "success"}
    failed = Jobs(project).runs(STORES)[0]
    log = airflow.log(DAG, run_id, SUMMARY)
    assert "1 of 3 jobs did not succeed" in log
    assert f"finance_stores: failed, see {failed['href']}" in log

    orders = [run["id"] for run in Jobs(project).runs(ORDERS)]
    airflow.call(
        "POST",
        f"/dags/{DAG}/clearTaskInstances",
        dry_run=False,
        dag_run_id=run_id,
        task_ids=[[RUN, tasks[1]["map_index"]]],
        include_downstream=True,
        only_failed=False,
        reset_dag_runs=True,
    )

    assert airflow.wait(DAG, run_id) == "success"
    assert Jobs(project).runs(STORES)[0]["retrying_run_id"] == failed["id"]
    assert [run["id"] for run in Jobs(project).runs(ORDERS)] == orders, "a follower starts nothing"


def test_chain_of_three_stops_after_a_failure_and_runs_in_order(
    airflow: Airflow, jobs: Jobs
) -> None:
    first = jobs.make("one_by_one_a", FAILS)
    second = jobs.make("one_by_one_b", QUICK, after=first)
    third = jobs.make("one_by_one_c", QUICK, after=second)

    run_id, states = airflow.run(ONE_BY_ONE)

    assert (states[FOLLOW], states["follow_jobs_2"], states[SUMMARY]) == (
        "skipped",
        "skipped",
        "failed",
    )
    log = airflow.log(ONE_BY_ONE, run_id, SUMMARY)
    assert "one_by_one_b: not started by dbt Cloud after one_by_one_a" in log
    (skipped,) = mapped(airflow, ONE_BY_ONE, run_id, FOLLOW)
    failed = jobs.runs(first)[0]
    assert f"only after success, but run {failed['id']} ended with error" in log_of(
        airflow, ONE_BY_ONE, run_id, skipped
    )

    job = jobs.project.dbt_cloud.get(f"/jobs/{first}/").json()["data"] | {"execute_steps": [QUICK]}
    jobs.project.dbt_cloud.post(f"/jobs/{first}/", json=job).raise_for_status()
    run_id, states = airflow.run(ONE_BY_ONE)

    assert set(states.values()) == {"success"}
    runs = [jobs.runs(job_id) for job_id in (first, second, third)]
    assert [len(found) for found in runs[1:]] == [1, 1]
    times = [(found[0]["created_at"], found[0]["finished_at"]) for found in runs]
    assert times == sorted(times)


def test_limit_counts_waiting_tasks_and_a_deleted_job_fails_alone(
    airflow: Airflow, project: Project, jobs: Jobs
) -> None:
    airflow.first_run("run_dbt_cloud_job")  # the warehouse has the sources
    made = [jobs.make(f"one_by_one_{number}", BUILD) for number in range(3)]
    with project.warehouse():
        run_id = airflow.trigger(ONE_BY_ONE)

        def waiting() -> bool:
            tasks = mapped(airflow, ONE_BY_ONE, run_id, RUN)
            return bool(tasks) and tasks[0]["state"] == "deferred"

        eventually(waiting, "the first job is waited for")
        with pytest.raises(AssertionError):  # the others stay where they are
            eventually(lambda: jobs.runs(made[1]) or jobs.runs(made[2]), "a second run", 10)
        tasks = mapped(airflow, ONE_BY_ONE, run_id, RUN)
        assert [task["state"] for task in tasks] == ["deferred", "scheduled", "scheduled"]
        assert tasks[0]["rendered_map_index"] == "one_by_one_0"
        project.dbt_cloud.delete(f"/jobs/{made[1]}/").raise_for_status()

    assert airflow.wait(ONE_BY_ONE, run_id) == "failed"
    tasks = mapped(airflow, ONE_BY_ONE, run_id, RUN)
    assert [task["state"] for task in tasks] == ["success", "failed", "success"]
    assert tasks[1]["try_number"] == 1
    assert tasks[1]["rendered_map_index"] == "one_by_one_1"
    assert f"job {made[1]} does not exist" in log_of(airflow, ONE_BY_ONE, run_id, tasks[1])
    log = airflow.log(ONE_BY_ONE, run_id, SUMMARY)
    assert "one_by_one_1: failed, see the log of run_jobs [1]" in log


@pytest.mark.parametrize("include_deferred", [False, True])
def test_pool_limits_waiting_tasks_only_with_include_deferred(
    airflow: Airflow, project: Project, jobs: Jobs, include_deferred: bool
) -> None:
    airflow.first_run("run_dbt_cloud_job")
    pool = {"name": "dbt_runs", "slots": 1, "include_deferred": include_deferred}
    airflow.call("POST", "/pools", **pool)
    for number in range(2):
        jobs.make(f"in_a_pool_{number}", BUILD)
    try:
        with project.warehouse():
            run_id = airflow.trigger(IN_A_POOL)

            def deferred() -> list[dict[str, Any]]:
                tasks = mapped(airflow, IN_A_POOL, run_id, RUN)
                return [task for task in tasks if task["state"] == "deferred"]

            eventually(deferred, "a job is waited for")
            if include_deferred:
                with pytest.raises(AssertionError):
                    eventually(lambda: len(deferred()) > 1, "both are waited for", 10)
            else:
                eventually(lambda: len(deferred()) > 1, "both are waited for")
        assert airflow.wait(IN_A_POOL, run_id) == "success"
    finally:
        airflow.call("DELETE", "/pools/dbt_runs")


def test_a_pattern_that_fits_no_job_fails_with_the_names_near_it(airflow: Airflow) -> None:
    run_id, states = airflow.run(ONE_BY_ONE)

    assert (states["find_jobs"], states[RUN], states[SUMMARY]) == (
        "failed",
        "upstream_failed",
        "failed",
    )
    log = airflow.log(ONE_BY_ONE, run_id, "find_jobs")
    assert "names='one_by_one_*'; similar names: " in log
    assert "see the log of find_jobs" in airflow.log(ONE_BY_ONE, run_id, SUMMARY)

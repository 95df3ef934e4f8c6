"""Tests of the page content from stored and listed runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import ObjectStoragePath

from include.dbt_cloud.api.artifacts import Node
from include.dbt_cloud.page.content import details_of, jobs_of
from include.dbt_cloud.page.job_list import JobList
from include.dbt_cloud.page.newest_runs import RecentRuns
from include.dbt_cloud.page.started_by import DagRun
from include.dbt_cloud.reports.history import History
from include.dbt_cloud.reports.results import Results

DAILY, HOURLY = 65767, 48617
MODEL, TEST = "model.shop.orders", "test.shop.unique_orders.a1"


def run(run_id: int, job_id: int = DAILY, status: int = 10, **more: Any) -> dict[str, Any]:
    """Return a run as dbt Cloud lists it."""
    moment = f"2026-11-25 10:{run_id:02}"
    return {
        "id": run_id,
        "job_definition_id": job_id,
        "project_id": 36467,
        "status": status,
        "status_message": None,
        "created_at": f"{moment}:00+00:00",
        "started_at": f"{moment}:10+00:00",
        "finished_at": f"{moment}:40.500000+00:00",
        "href": f"https://localhost/runs/{run_id}/",
        "job": {"name": "Daily build"},
        "trigger": {"cause": "Scheduled"},
    } | more


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(ObjectStoragePath(f"file://{tmp_path}/history"))


def nodes(seconds: float, test: str = "pass") -> list[Node]:
    return [Node(MODEL, "success", seconds, "", 4), Node(TEST, test, 0.1, "Got 3 results", 4)]


def listed_job(job_id: int, name: str) -> dict[str, Any]:
    return {"id": job_id, "name": name, "project_id": 5}


def no_dag_runs(_: Any) -> dict[int, DagRun]:
    return {}


def test_job_list_merges_listed_and_kept_runs_newest_first(history: History) -> None:
    history.keep(Results(run(1, HOURLY), []))
    history.keep(Results(run(2), []))
    live = run(4, status=3, finished_at=None)

    daily, hourly = jobs_of(RecentRuns([live, run(3), run(2)]), history, no_dag_runs)

    assert [one.id for one in daily.runs] == [4, 3, 2]
    assert (daily.state, daily.runs[0].is_active) == ("running", True)
    assert [one.state for one in hourly.runs] == ["success"]
    assert hourly.runs[0].took == "30.5 s"


def test_job_list_prefers_the_listed_status_to_the_kept_one(history: History) -> None:
    history.keep(Results(run(2, status=20), []))

    (daily,) = jobs_of(RecentRuns([run(2, status=10)]), history, no_dag_runs)

    assert daily.state == "success"


def test_job_list_has_jobs_without_runs_last_and_keeps_deleted_ones(history: History) -> None:
    history.keep(Results(run(1), []))
    shop = JobList.of([listed_job(HOURLY, "Hourly"), listed_job(7, "New")], [])

    jobs = jobs_of(RecentRuns([run(2, HOURLY)], listed=shop), history, no_dag_runs)

    assert [(job.id, job.name, job.state) for job in jobs] == [
        (HOURLY, "Hourly", "success"),
        (DAILY, "Daily build", "success"),
        (7, "New", "never run"),
    ]
    assert [job.settings.project for job in jobs] == ["Project 5", "Project 36467", "Project 5"]
    assert (jobs[2].newest, jobs[2].success_rate, jobs[2].median) == (None, None, None)


def test_job_list_looks_up_only_the_newest_dag_run(history: History) -> None:
    asked: list[int] = []

    def find(runs: list[dict[str, Any]]) -> dict[int, DagRun]:
        asked.extend(one["id"] for one in runs)
        return {3: DagRun("sales", "manual")}

    (daily,) = jobs_of(RecentRuns([run(3), run(2)]), history, find)

    assert asked == [3]
    assert [one.dag_run for one in daily.runs] == [DagRun("sales", "manual"), None]


def test_job_details_compare_a_model_with_the_runs_that_built_it(history: History) -> None:
    for run_id in range(1, 12):
        history.keep(Results(run(run_id), nodes(1.0)))
    history.keep(Results(run(12), nodes(3.0)))
    history.keep(Results(run(13, status=20), []))

    found = details_of(DAILY, RecentRuns(), history, no_dag_runs)

    assert found
    (time,) = found.times
    assert (time.name, time.seconds, time.median, len(time.history)) == ("orders", 3.0, 1.0, 11)
    assert (time.is_slower, time.is_unusual, time.ratio) == (True, True, 3.0)


def test_job_details_list_statuses_of_a_failed_node_oldest_first(history: History) -> None:
    for run_id, status in enumerate(("pass", "fail", "warn"), 1):
        history.keep(Results(run(run_id), nodes(1.0, status)))
    history.keep(Results(run(4), []))

    found = details_of(DAILY, RecentRuns(), history, no_dag_runs)

    assert found
    (failure,) = found.failures
    assert failure.name == "test unique_orders"
    assert failure.statuses == ["pass", "fail", "warn", ""]
    assert [one.id for one in found.compared] == [1, 2, 3, 4]
    assert failure.message == "Got 3 results"


def test_job_details_count_unreadable_files(history: History) -> None:
    history.keep(Results(run(1), []))
    (history.folder / str(DAILY) / "2.json").write_text("{")

    found = details_of(DAILY, RecentRuns(), history, no_dag_runs)

    assert found
    assert (len(found.job.runs), found.unreadable) == (1, 1)


def test_job_details_are_none_for_an_unknown_job(history: History) -> None:
    assert details_of(DAILY, RecentRuns([run(1, HOURLY)]), history, no_dag_runs) is None


def test_name_of_a_deleted_job_comes_from_its_kept_runs(history: History) -> None:
    history.keep(Results(run(1), []))
    listed = RecentRuns([run(2, job=None), run(3, HOURLY, job=None)])

    names = {job.id: job.name for job in jobs_of(listed, history, no_dag_runs)}
    details = details_of(DAILY, listed, history, no_dag_runs)

    assert names == {DAILY: "Daily build", HOURLY: f"Job {HOURLY}"}
    assert details
    assert details.job.name == "Daily build"


def test_job_list_and_details_leave_out_malformed_runs(history: History) -> None:
    history.keep(Results(run(1), nodes(1.0)))
    job = Path(history.folder.path, str(DAILY))
    (job / "2.json").write_text((job / "1.json").read_text().replace('"id":1,', '"id":true,'))
    listed = RecentRuns([{}, run(3, HOURLY), {**run(4), "job_definition_id": None}])

    shown = jobs_of(listed, history, no_dag_runs)
    details = details_of(DAILY, listed, history, no_dag_runs)

    assert [(job.id, [one.id for one in job.runs]) for job in shown] == [
        (HOURLY, [3]),
        (DAILY, [1]),
    ]
    assert details
    assert [one.id for one in details.job.runs] == [1]
    assert details.unreadable == 1


def test_job_list_and_details_reread_a_run_kept_twice(history: History) -> None:
    history.keep(Results(run(1, status=30), []))
    details_of(DAILY, RecentRuns(), history, no_dag_runs)
    history.keep(Results(run(1, status=10), nodes(2.0)))

    (daily,) = jobs_of(RecentRuns(), history, no_dag_runs)
    found = details_of(DAILY, RecentRuns(), history, no_dag_runs)

    assert daily.state == "success"
    assert found
    assert [time.seconds for time in found.times] == [2.0]

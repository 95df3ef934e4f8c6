from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from include.dbt_cloud import jobs as library
from tests.bundled import DAILY_BUILD, PULL_REQUEST_CHECK
from tests.unit.dbt_cloud.made_jobs import PRODUCTION, PROJECT_ID, MadeJobs


class TaskInstance(SimpleNamespace):
    """The XComs and states of a Dag run."""

    def __init__(self, **states: str) -> None:
        super().__init__(dag_id="dag", run_id="run", xcoms={}, states=states)

    def xcom_push(self, key: str, value: Any) -> None:
        self.xcoms["find_jobs", key, None] = value

    def xcom_pull(self, task_ids: str, key: str, map_indexes: int | None = None) -> Any:
        return self.xcoms.get((task_ids, key, map_indexes))

    def get_task_states(self, **_: Any) -> dict[str, dict[str, str]]:
        return {self.run_id: self.states}


def job(job_id: int, after: int | None = None, **fields: Any) -> dict[str, Any]:
    condition = {"condition": {"job_id": after, "project_id": 1, "statuses": [10]}}
    return {
        "id": job_id,
        "name": f"job_{job_id}",
        "execute_steps": ["dbt build"],
        "job_completion_trigger_condition": condition if after else None,
        **fields,
    }


def found(ti: TaskInstance | None = None, **filters: Any) -> list[str]:
    return [one["job_name"] for one in library.find_jobs(ti or TaskInstance(), **filters)]


def test_find_jobs_selects_by_pattern_and_place(jobs: MadeJobs) -> None:
    jobs.make("sales_one")
    jobs.make("sales_two", environment_id=29119)
    jobs.make("Sales_three")

    assert found(names="sales_*") == ["sales_one", "sales_two"]
    assert found(names="sales_*", environment_id=PRODUCTION) == ["sales_one"]
    assert found(names=["*_one", "?ales_three"]) == ["sales_one", "Sales_three"]
    assert "Finance build" not in found(project_id=PROJECT_ID, names="*", levels=2)


def test_find_jobs_returns_operator_arguments(jobs: MadeJobs) -> None:
    job_id = jobs.make("sales_one")

    assert library.find_jobs(TaskInstance(), job_ids=[job_id]) == [
        {"job_id": job_id, "job_name": "sales_one"}
    ]


def test_find_jobs_selects_pull_request_checks_only_by_id(jobs: MadeJobs) -> None:
    assert "Pull request check" not in found(project_id=PROJECT_ID, levels=2)
    assert found(job_ids=[str(PULL_REQUEST_CHECK)]) == ["Pull request check"]


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ({"names": "finanse_*"}, r"no job with names='finanse_\*'; similar names: 'finance_"),
        ({"names": "Daily *", "project_id": 5}, "similar names: none"),
        ({"job_ids": [DAILY_BUILD, 7, 8]}, "no job 7, 8 with job_ids"),
        ({}, "Give names, job_ids, project_id or environment_id"),
        ({"names": ""}, "no job with names=''"),
        ({"job_ids": ["abc"]}, "job_id must be a number .got 'abc'"),
    ],
    ids=["typo", "place", "ids", "nothing", "empty", "no number"],
)
def test_find_jobs_rejects_filters_that_fit_nothing(
    jobs: MadeJobs, filters: dict[str, Any], message: str
) -> None:
    with pytest.raises(AirflowFailException, match=message):
        found(**filters)


@pytest.mark.parametrize("steps", [[], [""], [" ", ""]], ids=str)
def test_jobs_without_commands_are_rejected(steps: list[str]) -> None:
    # The local dbt Cloud creates no such job.
    listed = [job(1), job(2, execute_steps=steps)]

    with pytest.raises(AirflowFailException, match=r"no commands: 'job_2'.* No job was started"):
        library.check_found(listed, listed, {"names": "*"})


def test_triggered_jobs_get_the_run_of_their_parent(jobs: MadeJobs) -> None:
    ti = TaskInstance()
    first, other = jobs.make("sales_first"), jobs.make("sales_other")
    jobs.make("sales_child", after=other)
    jobs.make("sales_orphan", after=first)
    assert found(ti, names="sales_*", levels=2) == ["sales_first", "sales_other"]
    ti.xcoms["run_jobs", "job_run_id", 1] = 77

    triggered = library.triggered_jobs(ti, 1, found_by="find_jobs", run_by="run_jobs")

    runs = {one["job_name"]: one["triggered_by_run_id"] for one in triggered}
    assert runs == {"sales_child": 77, "sales_orphan": None}
    assert library.triggered_jobs(ti, 2, found_by="find_jobs", run_by="follow_jobs_1") == []


def test_in_levels_orders_chains_and_several_parents() -> None:
    listed = [job(1), job(2, after=1), job(3, after=2), job(4), job(5, after=4), job(6, after=99)]

    levels = library.in_levels(listed, 3)

    assert [[one["job_id"] for one in level] for level in levels] == [[1, 4, 6], [2, 5], [3]]
    assert [[one.get("parent") for one in level] for level in levels] == [[None] * 3, [0, 1], [0]]


@pytest.mark.parametrize(
    ("listed", "message"),
    [
        (
            [job(1), job(2, after=1), job(3, after=2)],
            "'job_1', 'job_2', 'job_3'.* levels .CHAIN. to 3",
        ),
        ([job(1, after=2), job(2, after=1)], "start each other .*'job_1'"),
        ([job(1, after=1)], "start each other .*'job_1'"),
        ([job(1), job(2, after=3), job(3, after=2)], "'job_3', 'job_2'"),
    ],
    ids=["too long", "cycle", "itself", "cycle and another"],
)
def test_in_levels_rejects_long_chains_and_cycles(
    listed: list[dict[str, Any]], message: str
) -> None:
    with pytest.raises(AirflowFailException, match=message):
        library.in_levels(listed, 2)


def reporting(**states: str) -> TaskInstance:
    ti = TaskInstance(**states)
    ti.xcom_push("levels", library.in_levels([job(1), job(2), job(3, after=2)], 2))
    for task_id in ("run_jobs", "follow_jobs_1"):
        ti.xcoms[task_id, "job_run_url", 0] = f"https://dbt/{task_id}/0"
    return ti


def report(ti: TaskInstance) -> list[dict[str, Any]]:
    return library.summarize_jobs(ti, found_by="find_jobs", run_by=["run_jobs", "follow_jobs_1"])


def test_report_names_failed_and_skipped_jobs() -> None:
    ti = reporting(run_jobs_0="success", run_jobs_1="failed", follow_jobs_1_0="skipped")

    with pytest.raises(AirflowFailException) as failure:
        report(ti)

    assert str(failure.value).splitlines()[:3] == [
        "2 of 3 jobs did not succeed:",
        "- job_2: failed, see the log of run_jobs [1]",
        "- job_3: not started by dbt Cloud after job_2",
    ]


def test_report_counts_an_interrupted_job_as_not_succeeded() -> None:
    with pytest.raises(AirflowFailException, match=r"job_3: not run, see https://dbt/follow_jobs"):
        report(reporting(run_jobs_0="success", run_jobs_1="success"))


def test_report_succeeds_if_dbt_cloud_rightly_started_nothing() -> None:
    ti = reporting(run_jobs_0="success", run_jobs_1="success", follow_jobs_1_0="skipped")

    assert [one["state"] for one in report(ti)] == ["success", "success", "skipped"]
    assert report(ti)[0]["url"] == "https://dbt/run_jobs/0"


def test_report_fails_if_no_jobs_were_found() -> None:
    with pytest.raises(AirflowFailException, match="see the log of find_jobs"):
        report(TaskInstance())

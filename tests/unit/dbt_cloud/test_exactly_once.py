"""One dbt run per task and generation of tries, on the real local dbt Cloud."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowException
from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudJobRunException

from tests.running_dbt_cloud import DAILY_BUILD, PULL_REQUEST_CHECK
from tests.unit.dbt_cloud.conftest import BUILD, MakeTask, go_wrong, missing_table

QUICK = "dbt deps"
START = {"method": "POST", "path": f"*/jobs/{DAILY_BUILD}/run*"}


def test_a_try_after_a_crash_waits_for_the_run_that_is_there(make_task: MakeTask) -> None:
    task = make_task(QUICK)
    started = task.start()

    assert task.try_() == started
    assert [run["status_humanized"] for run in task.runs] == ["Success"]
    assert task.pushed["job_run_id"] == started
    assert task.pushed["job_run_url"] == task.runs[0]["href"]


def test_a_cause_of_one_s_own_does_not_hide_the_run_from_the_next_try(make_task: MakeTask) -> None:
    task = make_task(QUICK, additional_run_config={"cause": "The quarter has ended"})
    started = task.start()
    task.stored.clear()  # as for a worker that died before it could store anything

    assert task.try_() == started
    (run,) = task.runs
    assert run["trigger"]["cause"].startswith("The quarter has ended [airflow:")


def test_a_run_that_succeeded_unseen_is_not_run_again(make_task: MakeTask) -> None:
    task = make_task(QUICK)
    task.server.wait(task.start())

    assert task.try_() == task.runs[0]["id"]
    assert len(task.runs) == 1


def test_two_dag_runs_never_take_each_others_run(make_task: MakeTask) -> None:
    one, other = make_task(QUICK), make_task(QUICK)

    assert one.start() != other.start()
    assert one.try_() != other.try_()
    assert len(one.runs) == 2


@pytest.mark.parametrize("kind", ["close-after", "truncate"])
def test_a_run_whose_start_went_unanswered_is_found(make_task: MakeTask, kind: str) -> None:
    task = make_task(QUICK)
    go_wrong(task.server, kind, **START)

    assert task.try_() == task.runs[0]["id"]
    assert len(task.runs) == 1


def test_a_start_that_never_arrived_is_not_repeated_blindly(
    make_task: MakeTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("include.dbt_cloud.task_state.UNANSWERED_SECONDS", 2.0)
    task = make_task(QUICK)
    go_wrong(task.server, "close-before", **START)

    with pytest.raises(AirflowException, match="next try looks again"):
        task.try_()
    assert task.runs == []
    task.try_()
    assert len(task.runs) == 1


def test_a_start_that_was_refused_for_now_is_repeated(make_task: MakeTask) -> None:
    task = make_task(QUICK)
    go_wrong(task.server, "429", times=2, seconds=1, **START)

    task.try_()

    assert len(task.runs) == 1


def test_a_failed_run_is_resumed_where_it_failed(make_task: MakeTask) -> None:
    task = make_task(BUILD)
    with missing_table(task.server, "stores"), pytest.raises(DbtCloudJobRunException):
        task.try_()

    task.try_()

    failed, resumed = task.own_runs
    assert resumed["retrying_run_id"] == failed["id"]
    assert resumed["status_humanized"] == "Success"


def test_a_run_that_cannot_be_resumed_is_finished_with_what_failed(make_task: MakeTask) -> None:
    task, other = make_task(BUILD, QUICK), make_task(QUICK)
    with missing_table(task.server, "stores"), pytest.raises(DbtCloudJobRunException):
        task.try_()
    other.try_()  # from now on dbt Cloud does not resume the first

    task.try_()

    _failed, finished = task.own_runs
    build, last = finished["trigger"]["steps_override"]
    assert build.startswith("dbt build --select ")
    assert "stg_stores" in build
    assert "stg_products" not in build
    assert last == QUICK
    assert finished["status_humanized"] == "Success"


def test_a_run_that_deferred_and_cannot_be_resumed_is_run_as_a_whole(make_task: MakeTask) -> None:
    check = {"job_id": PULL_REQUEST_CHECK, "additional_run_config": {"github_pull_request_id": 7}}
    task, other = make_task(BUILD, **check), make_task(QUICK, job_id=PULL_REQUEST_CHECK)
    task.server.wait(task.server.trigger(steps_override=["dbt parse"]))  # production has a state
    with missing_table(task.server, "stores"), pytest.raises(DbtCloudJobRunException):
        task.try_()
    other.try_()  # from now on dbt Cloud does not resume the first

    task.try_()

    failed, again = task.own_runs
    assert failed["deferring_run_id"]
    # Of the rest alone, what the first run has built would be read from production.
    assert again["trigger"]["steps_override"] == [BUILD]


def test_a_run_that_left_nothing_to_resume_is_run_again(make_task: MakeTask) -> None:
    task = make_task("dbt run-operation no_such_macro")

    for _ in range(2):
        with pytest.raises(DbtCloudJobRunException):
            task.try_()

    assert [run["retrying_run_id"] for run in task.runs] == [None, None]


def test_a_clear_after_success_runs_again(make_task: MakeTask) -> None:
    task = make_task(QUICK)
    task.try_()

    task.clear()
    again = task.start()

    assert [run["id"] for run in task.runs][1:] == [again]
    assert task.try_() == again


def test_a_clear_after_failure_resumes_and_a_crash_then_changes_nothing(
    make_task: MakeTask,
) -> None:
    task = make_task(BUILD)
    with missing_table(task.server, "stores"), pytest.raises(DbtCloudJobRunException):
        task.try_()

    task.clear()
    resumed = task.start()

    assert task.try_() == resumed
    failed = task.own_runs[0]["id"]
    assert [run["retrying_run_id"] for run in task.own_runs] == [None, failed]


def test_a_clear_while_running_cancels_the_run_and_runs_again(
    make_task: MakeTask, held_warehouse: None
) -> None:
    task = make_task(BUILD)
    task.start()

    task.clear()
    task.start()

    cancelled, _again = task.runs
    assert cancelled["status_humanized"] == "Cancelled"


@pytest.mark.parametrize(
    "job",
    [
        {"job_id": str(DAILY_BUILD)},  # what a template renders
        {
            "job_id": None,
            "project_name": "Jaffle shop",
            "environment_name": "Production",
            "job_name": "Daily build",
        },
    ],
    ids=["id", "names"],
)
def test_a_job_is_named_as_the_provider_lets_it_be(
    make_task: MakeTask, job: dict[str, Any]
) -> None:
    task = make_task(QUICK)

    assert task.try_(**job) == task.runs[0]["id"]


def test_execution_timeout_cancels_the_run(make_task: MakeTask, held_warehouse: None) -> None:
    task = make_task(BUILD)
    operator = task.operator()
    started = task.start()

    with pytest.raises(DbtCloudJobRunException, match="execution_timeout"):
        operator.execute_complete(
            task.context(operator),
            {"run_id": started, "outcome": "timeout", "message": "execution_timeout"},
        )

    assert task.server.wait(started)["status_humanized"] == "Cancelled"

"""Tests of one dbt run per task and generation of tries, with the local dbt Cloud."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Timer
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowException
from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudJobRunException
from airflow.sdk.exceptions import AirflowFailException

from include.dbt_cloud.run.idempotency_key import IdempotencyKey
from tests.bundled import DAILY_BUILD, PULL_REQUEST_CHECK
from tests.unit.dbt_cloud.conftest import BUILD, MakeTask, go_wrong, missing_table

QUICK = "dbt deps"
START = {"method": "POST", "path": f"*/jobs/{DAILY_BUILD}/run*"}


def test_retry_after_a_crash_follows_the_existing_run(make_task: MakeTask) -> None:
    task = make_task(QUICK)
    started = task.start()

    assert task.try_() == started
    assert [run["status_humanized"] for run in task.runs] == ["Success"]
    assert task.pushed["job_run_id"] == started
    assert task.pushed["job_run_url"] == task.runs[0]["href"]


def test_retry_finds_a_run_with_a_custom_cause(make_task: MakeTask) -> None:
    task = make_task(QUICK, additional_run_config={"cause": "The quarter has ended"})
    started = task.start()

    assert task.try_() == started
    (run,) = task.runs
    assert run["trigger"]["cause"].startswith("The quarter has ended [airflow:")


def test_retry_does_not_repeat_a_run_that_succeeded_meanwhile(make_task: MakeTask) -> None:
    task = make_task(QUICK)
    task.server.wait(task.start())

    assert task.try_() == task.runs[0]["id"]
    assert len(task.runs) == 1


def test_tasks_of_two_dag_runs_follow_separate_runs(make_task: MakeTask) -> None:
    one, other = make_task(QUICK), make_task(QUICK)

    assert one.start() != other.start()
    assert one.try_() != other.try_()
    assert len(one.runs) == 2


@pytest.mark.parametrize("kind", ["close-after", "truncate"])
def test_operator_finds_its_run_after_a_lost_trigger_response(
    make_task: MakeTask, kind: str
) -> None:
    task = make_task(QUICK)
    go_wrong(task.server, kind, **START)

    assert task.try_() == task.runs[0]["id"]
    assert len(task.runs) == 1


def test_operator_leaves_a_lost_trigger_request_to_the_next_try(make_task: MakeTask) -> None:
    task = make_task(QUICK, lost_answer_seconds=2)
    go_wrong(task.server, "close-before", **START)

    with pytest.raises(AirflowException, match="next try checks again"):
        task.try_()
    assert task.runs == []
    task.try_()
    assert len(task.runs) == 1


@pytest.mark.slow
def test_operator_finds_a_run_that_appears_long_after_a_lost_response(make_task: MakeTask) -> None:
    task = make_task(QUICK)
    key = IdempotencyKey.of(task.context(task.operator()))
    go_wrong(task.server, "close-before", **START)
    late = Timer(25, task.server.trigger, [DAILY_BUILD], {"cause": key.cause("late")})
    late.start()

    assert task.start() == task.runs[0]["id"]
    assert len(task.runs) == 1


@pytest.mark.parametrize("hours", [-20, 20])
def test_retry_finds_its_run_despite_clock_skew(make_task: MakeTask, hours: int) -> None:
    task = make_task(QUICK)
    task.started += timedelta(hours=hours)

    assert task.start() == task.start()


def test_operator_repeats_a_trigger_request_after_429(make_task: MakeTask) -> None:
    task = make_task(QUICK)
    go_wrong(task.server, "429", times=2, seconds=1, **START)

    task.try_()

    assert len(task.runs) == 1


def test_retry_resumes_a_failed_run(make_task: MakeTask) -> None:
    task = make_task(BUILD)
    with missing_table(task.server, "stores"), pytest.raises(DbtCloudJobRunException):
        task.try_()

    task.try_()

    failed, resumed = task.own_runs
    assert resumed["retrying_run_id"] == failed["id"]
    assert resumed["status_humanized"] == "Success"


def test_retry_finishes_a_run_that_cannot_be_resumed(make_task: MakeTask) -> None:
    task, other = make_task(BUILD, QUICK), make_task(QUICK)
    with missing_table(task.server, "stores"), pytest.raises(DbtCloudJobRunException):
        task.try_()
    other.try_()  # so dbt Cloud cannot resume the first

    task.try_()

    _failed, finished = task.own_runs
    build, last = finished["trigger"]["steps_override"]
    assert build.startswith("dbt build --select ")
    assert "stg_stores" in build
    assert "stg_products" not in build
    assert last == QUICK
    assert finished["status_humanized"] == "Success"


def test_retry_repeats_a_deferring_run_that_cannot_be_resumed(make_task: MakeTask) -> None:
    check = {"job_id": PULL_REQUEST_CHECK, "additional_run_config": {"github_pull_request_id": 7}}
    task, other = make_task(BUILD, **check), make_task(QUICK, job_id=PULL_REQUEST_CHECK)
    # Production has a state.
    task.server.wait(task.server.trigger(DAILY_BUILD, steps_override=["dbt parse"]))
    with missing_table(task.server, "stores"), pytest.raises(DbtCloudJobRunException):
        task.try_()
    other.try_()  # so dbt Cloud cannot resume the first

    task.try_()

    failed, again = task.own_runs
    assert failed["deferring_run_id"]
    # With the rest alone, models of the first run would be read from production.
    assert again["trigger"]["steps_override"] == [BUILD]


def test_retry_starts_a_new_run_when_there_is_nothing_to_resume(make_task: MakeTask) -> None:
    task = make_task("dbt run-operation no_such_macro")

    for _ in range(2):
        with pytest.raises(AirflowFailException):  # the macro does not exist
            task.try_()

    assert [run["retrying_run_id"] for run in task.runs] == [None, None]


def test_clear_after_success_starts_a_new_run(make_task: MakeTask) -> None:
    task = make_task(QUICK)
    task.try_()

    task.clear()
    again = task.start()

    assert [run["id"] for run in task.runs][1:] == [again]
    assert task.try_() == again


def test_clear_after_failure_resumes_once_despite_a_crash(
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


def test_clear_while_running_cancels_the_run_and_starts_another(
    make_task: MakeTask, held_warehouse: None
) -> None:
    task = make_task(BUILD)
    task.start()

    task.clear()
    task.start()

    cancelled, _again = task.runs
    assert cancelled["status_humanized"] == "Cancelled"


@pytest.mark.parametrize("retries", [0, 1, 5])
def test_edit_of_retries_keeps_the_active_run(
    make_task: MakeTask, held_warehouse: None, retries: int
) -> None:
    task = make_task(BUILD)
    started = task.start()

    task.retries = retries

    assert task.start() == started
    assert len(task.runs) == 1


@pytest.mark.parametrize("retries", [0, 1, 5])
def test_edit_of_retries_does_not_repeat_a_succeeded_run(make_task: MakeTask, retries: int) -> None:
    task = make_task(QUICK)
    task.server.wait(task.start())

    task.retries = retries

    assert task.try_() == task.runs[0]["id"]
    assert len(task.runs) == 1


@pytest.mark.parametrize("retries", [0, 1, 2, 5])
def test_clear_after_an_edit_of_retries_starts_a_new_run(make_task: MakeTask, retries: int) -> None:
    task = make_task(QUICK)
    first = task.try_()

    task.retries = retries  # 1 makes `max_tries` what it was before the clear
    task.clear()
    again = task.start()

    assert again > first
    assert task.start() == again


def test_clear_of_another_task_keeps_the_run(make_task: MakeTask) -> None:
    task = make_task(QUICK)
    started = task.start()

    task.clear_number += 1

    assert task.start() == started


def test_recreated_dag_run_starts_its_own_run(make_task: MakeTask) -> None:
    deleted = make_task(BUILD)
    with missing_table(deleted.server, "stores"), pytest.raises(DbtCloudJobRunException):
        deleted.try_()
    task = make_task(BUILD)
    task.run_id, task.started = deleted.run_id, deleted.started

    own = task.try_()
    task.clear()
    again = task.try_()

    failed, *rest = (run["id"] for run in task.own_runs)
    assert rest == [own, again]
    assert all(run["retrying_run_id"] is None for run in task.own_runs)
    assert failed < own


def test_recreated_dag_run_leaves_a_resumed_run_of_the_deleted_one(make_task: MakeTask) -> None:
    deleted = make_task(BUILD)
    with missing_table(deleted.server, "stores"), pytest.raises(DbtCloudJobRunException):
        deleted.try_()
    resumed = deleted.retry_as_a_person()
    task = make_task(BUILD)
    task.run_id, task.started = deleted.run_id, deleted.started

    own = task.try_()

    assert own > resumed
    assert task.runs[-1]["retrying_run_id"] is None


@pytest.mark.parametrize("is_cleared", [True, False], ids=["cleared", "retried"])
def test_operator_follows_a_manual_retry_of_its_failed_run(
    make_task: MakeTask, is_cleared: bool
) -> None:
    task = make_task(BUILD)
    with missing_table(task.server, "stores"), pytest.raises(DbtCloudJobRunException):
        task.try_()
    resumed = task.retry_as_a_person()

    if is_cleared:
        task.clear()

    assert task.try_() == resumed  # while it is active
    assert len(task.own_runs) == 2
    task.clear()
    assert task.start() > resumed  # after a success that the task followed
    assert task.runs[-1]["retrying_run_id"] is None


def test_clear_follows_a_manual_retry_that_has_succeeded(make_task: MakeTask) -> None:
    task = make_task(BUILD)
    with missing_table(task.server, "stores"), pytest.raises(DbtCloudJobRunException):
        task.try_()
    resumed = task.retry_as_a_person()
    task.server.wait(resumed)

    task.clear()

    assert task.try_() == resumed
    assert task.try_() == resumed  # after a crash


def test_clear_resumes_a_manual_retry_that_failed(make_task: MakeTask) -> None:
    task = make_task(BUILD)
    with missing_table(task.server, "stores"):
        with pytest.raises(DbtCloudJobRunException):
            task.try_()
        by_a_person = task.retry_as_a_person()
        task.server.wait(by_a_person)

    task.clear()
    task.try_()

    assert task.own_runs[-1]["retrying_run_id"] == by_a_person


def test_concurrent_tasks_that_finish_one_failed_run_share_a_run(make_task: MakeTask) -> None:
    other = make_task(BUILD)
    with missing_table(other.server, "stores"), pytest.raises(DbtCloudJobRunException):
        other.try_()
    failed = other.runs[0]["id"]
    tasks = [make_task(failed_run_id=failed) for _ in range(2)]
    go_wrong(other.server, "slow", seconds=1, times=2, method="GET", path=f"*/runs/{failed}/*")

    with ThreadPoolExecutor(2) as pool:
        one, two = pool.map(lambda task: task.start(), tasks)

    assert one == two
    assert len(other.runs) == 2


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
def test_operator_finds_a_job_by_id_or_by_names(make_task: MakeTask, job: dict[str, Any]) -> None:
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

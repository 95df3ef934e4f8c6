"""Tests of the detection of generations of tries, from Airflow's counters."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudJobRunStatus as Status

from include.dbt_cloud.api.runs import Run
from include.dbt_cloud.run.task_state import TaskState


class TaskInstance:
    """Counts tries and clears as Airflow's database does; ``retries`` is the Dag file's."""

    def __init__(self, retries: int = 2) -> None:
        self.retries = retries
        self.number, self.max_tries, self.clear_number = 0, retries, 0
        self.stored: dict[str, Any] = {}

    def try_(self, newest: Run | None = None) -> TaskState:
        self.number += 1
        task = SimpleNamespace(retries=self.retries)
        ti = SimpleNamespace(try_number=self.number, max_tries=self.max_tries, task=task)
        dag_run = SimpleNamespace(clear_number=self.clear_number)
        store = SimpleNamespace(get=self.stored.get, set=self.stored.__setitem__)
        context: Any = {"ti": ti, "dag_run": dag_run, "task_state_store": store}
        state = TaskState(context)
        if state.is_new_generation:
            state.begin_generation(newest)
        return state

    def clear(self) -> None:
        self.max_tries = self.number + self.retries
        self.clear_number += 1


def run(run_id: int, status: Status) -> Run:
    return Run(run_id, status.value, "", "", True, run_id - 1, datetime.now(UTC))


@pytest.mark.parametrize("before", range(4))
@pytest.mark.parametrize("tries", range(1, 4))
@pytest.mark.parametrize("after", range(4))
def test_task_state_detects_clears_despite_edits_of_retries(
    before: int, tries: int, after: int
) -> None:
    task = TaskInstance(before)
    assert task.try_().is_new_generation
    assert not any(task.try_().is_new_generation for _ in range(tries - 1))

    task.retries = after
    assert not task.try_().is_new_generation
    task.clear()
    assert task.try_().is_new_generation
    assert not task.try_().is_new_generation


def test_task_state_ignores_a_clear_of_another_task() -> None:
    task = TaskInstance()
    task.try_()

    task.clear_number += 1

    assert not task.try_().is_new_generation


def test_task_state_compares_a_clear_of_another_task_with_the_try_before() -> None:
    task = TaskInstance(retries=2)
    task.try_()

    task.clear_number += 1
    task.retries = 0

    assert not task.try_().is_new_generation
    assert not task.try_().is_new_generation  # now tries made and retries are max_tries


def test_task_state_treats_a_deleted_record_as_a_clear() -> None:
    task = TaskInstance()
    task.try_()

    task.stored.clear()
    again = task.try_()

    assert again.is_new_generation
    assert not again.is_first_try
    assert not task.try_().is_new_generation


@pytest.mark.parametrize(("status", "is_own"), [(Status.SUCCESS, True), (Status.RUNNING, False)])
def test_task_state_without_a_record_disowns_only_an_active_resumed_run(
    status: Status, is_own: bool
) -> None:
    task = TaskInstance()
    task.try_()
    task.stored.clear()

    assert task.try_(run(7, status)).has_started(run(7, status)) is is_own
    assert task.try_(run(7, status)).has_started(run(7, status)) is is_own  # after a crash

"""Resumed tasks in the executor, with workers that never start."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.executors.workloads import BundleInfo, ExecuteTask, TaskInstanceDTO
from airflow.utils.state import TaskInstanceState
from sqlalchemy.orm import Session

from include.local_airflow.airflow import executor as executor_module
from include.local_airflow.airflow.executor import LocalExecutor

WAITS, OTHER = uuid.uuid4(), uuid.uuid4()


@pytest.fixture
def executor(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalExecutor]:
    monkeypatch.setattr(LocalExecutor, "_spawn_workers_with_gc_freeze", lambda *_: None)
    executor = LocalExecutor(parallelism=2)
    executor.start()
    yield executor
    executor.end()


def workload(ti_id: uuid.UUID) -> ExecuteTask:
    """Return a workload with the same id and key each time, as for a resumed task."""
    ti = TaskInstanceDTO(
        id=ti_id,
        dag_version_id=uuid.uuid4(),
        task_id=str(ti_id),
        dag_id="dag",
        run_id="run",
        try_number=1,
        map_index=-1,
        pool_slots=1,
        queue="default",
        priority_weight=1,
    )
    bundle = BundleInfo(name="dags-folder", version=None)
    return ExecuteTask(
        ti=ti, dag_rel_path=Path("dag.py"), token="", log_path="log", bundle_info=bundle
    )


def queue(executor: LocalExecutor, ti_id: uuid.UUID) -> None:
    """Queue a task as the scheduler does."""
    executor.queue_workload(workload(ti_id), session=Session())


def started(executor: LocalExecutor) -> list[uuid.UUID]:
    """Return the tasks that a heartbeat passes to the workers."""
    executor.heartbeat()
    found: list[Any] = []
    while not executor.activity_queue.empty():
        found.append(executor.activity_queue.get())
    return [workload.ti.id for workload in found]


def report(executor: LocalExecutor, state: TaskInstanceState) -> None:
    """Report the state of the only running task, as a worker does, and empty the event buffer."""
    [key] = executor.under_way
    executor.change_state(key, state, remove_running=state != TaskInstanceState.RUNNING)
    assert list(executor.get_event_buffer()) == [key]


@pytest.fixture
def resumed(executor: LocalExecutor) -> LocalExecutor:
    """Return an executor with a task that is queued again before its first process has ended."""
    queue(executor, WAITS)
    assert started(executor) == [WAITS]
    report(executor, TaskInstanceState.RUNNING)
    queue(executor, WAITS)
    return executor


def test_executor_starts_a_resumed_task_after_its_earlier_process(
    resumed: LocalExecutor,
) -> None:
    """This test fails if Airflow no longer calls the overridden methods."""
    assert started(resumed) == []
    assert started(resumed) == []

    report(resumed, TaskInstanceState.SUCCESS)
    assert started(resumed) == [WAITS]


def test_held_task_takes_no_slot(resumed: LocalExecutor) -> None:
    queue(resumed, OTHER)
    assert started(resumed) == [OTHER]


def test_executor_releases_a_held_task_after_its_time_limit(
    resumed: LocalExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert started(resumed) == []

    monkeypatch.setattr(executor_module, "HOLD_TIMEOUT", 0)
    assert started(resumed) == [WAITS]

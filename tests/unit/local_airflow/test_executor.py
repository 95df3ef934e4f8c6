"""Resumed tasks as the scheduler gives them to the executor, with workers that never start."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from airflow.executors.workloads import BundleInfo, ExecuteTask, TaskInstanceDTO
from sqlalchemy.orm import Session

from include.local_airflow import executor as executor_module
from include.local_airflow.executor import LocalExecutor


@pytest.fixture
def executor(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalExecutor]:
    monkeypatch.setattr(LocalExecutor, "_spawn_workers_with_gc_freeze", lambda *_: None)
    executor = LocalExecutor(parallelism=2)
    executor.start()
    yield executor
    executor.end()


def workload(task_id: str) -> ExecuteTask:
    """The same key each time, as of a task that is resumed."""
    ti = TaskInstanceDTO(
        id=uuid.uuid4(),
        dag_version_id=uuid.uuid4(),
        task_id=task_id,
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


def queue(executor: LocalExecutor, task_id: str) -> ExecuteTask:
    task = workload(task_id)
    executor.queue_workload(task, session=Session())
    executor.heartbeat()
    return task


def test_a_resumed_task_waits_until_its_earlier_process_has_ended(executor: LocalExecutor) -> None:
    first = queue(executor, "waits")
    assert not executor.queued_tasks

    resumed = queue(executor, "waits")
    other = queue(executor, "other")
    assert list(executor.queued_tasks) == [resumed.key], "the scheduler finds it here"
    assert other.key in executor.under_way

    executor.result_queue.put((first.key, first.success_state, None))
    executor.heartbeat()
    assert list(executor.queued_tasks) == [resumed.key], "the end is not told to the scheduler yet"
    assert list(executor.get_event_buffer()) == [first.key]

    executor.heartbeat()
    assert not executor.queued_tasks


def test_an_end_that_never_comes_is_not_waited_for(
    executor: LocalExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue(executor, "waits")
    queue(executor, "waits")
    assert executor.queued_tasks

    monkeypatch.setattr(executor_module, "PATIENCE", 0)
    executor.heartbeat()
    assert not executor.queued_tasks

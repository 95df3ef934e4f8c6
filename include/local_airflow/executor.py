"""Airflow's LocalExecutor, which here never gives a task two processes at a time.

`make start` and `astro dev start` use it. A deferred task keeps its key when it is resumed. Where
its trigger fires before the executor has reported the end of the deferring process, Airflow 3.3
takes that end for the resumed task's and counts a failed try:
https://github.com/apache/airflow/issues/72716.
"""

from __future__ import annotations

import time
from typing import Any

from include.local_airflow.airflow_internals import LocalExecutor as AirflowLocalExecutor

PATIENCE = 30.0  # seconds; a process that was killed with its supervisor never reports its end


class LocalExecutor(AirflowLocalExecutor):
    """Keeps a resumed task in its queue until its earlier process has ended."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[no-untyped-call]  # Airflow's has no types
        self.under_way: set[Any] = set()  # keys of what a worker has not reported yet
        self.held_since: dict[Any, float] = {}

    def order_queued_tasks_by_priority(self) -> list[tuple[Any, Any]]:
        queued = super().order_queued_tasks_by_priority()
        return [(key, workload) for key, workload in queued if not self.is_held(key)]

    def is_held(self, key: Any) -> bool:
        now = time.monotonic()
        return key in self.under_way and now - self.held_since.setdefault(key, now) < PATIENCE

    def _process_workloads(self, workload_list: Any) -> None:
        for workload in workload_list:
            self.under_way.add(workload.key)
            self.held_since.pop(workload.key, None)
        super()._process_workloads(workload_list)  # type: ignore[no-untyped-call]  # nor has this

    def change_state(self, key: Any, *args: Any, **kwargs: Any) -> None:
        self.under_way.discard(key)
        super().change_state(key, *args, **kwargs)

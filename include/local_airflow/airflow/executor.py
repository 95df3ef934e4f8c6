"""Airflow's LocalExecutor, with at most one process per task at a time.

``make start`` and ``astro dev start`` use it. A resumed deferred task keeps its key. If its trigger
fires before the executor has reported the end of the deferring process, Airflow 3.3 mistakes that
end for the resumed task's and counts a failed try:
https://github.com/apache/airflow/issues/72716.
"""

from __future__ import annotations

import time
from typing import Any

from airflow.executors.local_executor import LocalExecutor as AirflowLocalExecutor

HOLD_TIMEOUT = 30.0  # seconds; a process killed with its supervisor never reports its end


class LocalExecutor(AirflowLocalExecutor):
    """Keep a resumed task in the queue until its earlier process has ended.

    Airflow 3.3 and 3.4 call both methods that this class overrides.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[no-untyped-call]  # untyped in Airflow
        self.under_way: set[Any] = set()  # keys whose end is not reported yet
        self.held_since: dict[Any, float] = {}

    def _get_workloads_to_schedule(self, open_slots: int) -> list[tuple[Any, Any]]:
        """Return the workloads to start now: the first in the queue, except held tasks."""
        queued = super()._get_workloads_to_schedule(open_slots + len(self.under_way))
        free = [(key, workload) for key, workload in queued if not self.is_held(key)]
        chosen = free[: max(open_slots, 0)]
        for key, _ in chosen:
            self.under_way.add(key)
            self.held_since.pop(key, None)
        return chosen

    def is_held(self, key: Any) -> bool:
        now = time.monotonic()
        return key in self.under_way and now - self.held_since.setdefault(key, now) < HOLD_TIMEOUT

    def get_event_buffer(self, dag_ids: Any = None) -> dict[Any, Any]:
        """Return the state changes since the last call, which the scheduler reads."""
        events: dict[Any, Any] = super().get_event_buffer(dag_ids)
        self.under_way -= {key for key, (state, _) in events.items() if state != "running"}
        return events

"""State shared between the tries of one task, in Airflow's task state store."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from ..api.runs import Run

if TYPE_CHECKING:
    from airflow.sdk import Context

STATE_KEY = "dbt_cloud_task"
LOST_ANSWER_SECONDS = 120.0


@dataclass(frozen=True)
class Try:
    """One try of a task instance.

    ``number``, ``max_tries`` and ``clear_number`` come from Airflow's database; ``clear_number``
    counts the clears of any task of the Dag run. ``retries`` comes from the Dag file, as it is now.
    """

    number: int
    max_tries: int
    clear_number: int
    retries: int

    @classmethod
    def of(cls, context: Context) -> Try:
        ti: Any = context["ti"]
        dag_run: Any = context["dag_run"]
        return cls(ti.try_number, ti.max_tries, dag_run.clear_number or 0, ti.task.retries)


@dataclass(frozen=True)
class Record:
    """The stored state. ``max_tries`` and ``clear_number`` are those of the try that stored it.

    Attributes:
        after: Runs with a greater id belong to this generation of tries. A clear starts the next.
        ignored: Runs of the task up to this id belong to a deleted Dag run with the same run id.
        started: The newest run that the task started or followed.
        asked_after: The newest run at an unfinished request for another; None without one.
        asked_at: The time of that request, in seconds since the epoch.
    """

    max_tries: int
    clear_number: int
    after: int = 0
    ignored: int = 0
    started: int = 0
    asked_after: int | None = None
    asked_at: float = 0.0

    def precedes_clear(self, current: Try) -> bool:
        """Return whether the task was cleared after this record was stored.

        Only a clear changes ``max_tries``: it sets the tries made plus ``retries``. If ``retries``
        was lowered in between, the sum can equal the previous value. In that case ``clear_number``
        has changed, and the sum still matches.
        """
        if self.max_tries != current.max_tries:
            return True
        tries_made = current.number - 1
        is_sum = tries_made + current.retries == current.max_tries
        return is_sum and self.clear_number != current.clear_number


class TaskState:
    """The record of one task instance.

    Retries keep it, and so does a clear in Airflow 3.3. In Airflow 3.4, and with ``[state_store]
    clear_on_success``, a clear discards it.

    Args:
        context: The context of the try that reads and writes the record.
        lost_answer_seconds: Seconds to wait for a requested run to appear after a lost response.
    """

    def __init__(self, context: Context, lost_answer_seconds: float = LOST_ANSWER_SECONDS) -> None:
        self._store: Any = context.get("task_state_store")
        self._current = current = Try.of(context)
        self._lost_answer_seconds = lost_answer_seconds
        stored: Any = self._store.get(STATE_KEY) if self._store else None
        self._record = Record(**stored or {"max_tries": current.max_tries, "clear_number": 0})
        self.is_first_try = stored is None and current.number <= 1
        self._is_lost = stored is None and not self.is_first_try
        self.is_new_generation = stored is None or self._record.precedes_clear(current)
        if not self.is_new_generation and self._record.clear_number != current.clear_number:
            self._keep()  # another task was cleared: the next try compares with this one

    @property
    def after(self) -> int:
        return self._record.after

    @property
    def ignored(self) -> int:
        return self._record.ignored

    def ignore(self, newest: int) -> None:
        self._keep(ignored=newest)

    def begin_generation(self, newest: Run | None) -> None:
        """Record that runs after ``newest`` belong to this generation of tries.

        If the record was discarded, count a finished run as the task's own: its origin cannot be
        determined, and a clear must have an effect.
        """
        is_own = self._is_lost and newest and not newest.is_active
        started = newest.id if newest and is_own else self._record.started
        self._keep(after=newest.id if newest else 0, started=started)

    def has_started(self, run: Run) -> bool:
        """Return whether this task requested the run, or already followed it."""
        asked_after = self._record.asked_after
        return run.id == self._record.started or (asked_after is not None and run.id > asked_after)

    def awaits_run(self, newest: int) -> bool:
        """Return whether a requested run may still appear."""
        asked_after = self._record.asked_after
        if asked_after is None or newest > asked_after:
            return False
        return time.time() < self._record.asked_at + self._lost_answer_seconds

    def record_request(self, newest: int) -> None:
        """Record the request of a run; call this before the request and after a lost response."""
        self._keep(asked_after=newest, asked_at=time.time())

    def record_refusal(self) -> None:
        self._keep(asked_after=None)

    def follow(self, run: Run) -> Run:
        """Record and return the run of this generation, started by the task or by a person."""
        if run.id != self._record.started:
            self._keep(after=min(self.after, run.id - 1), started=run.id, asked_after=None)
        return run

    def _keep(self, **changes: Any) -> None:
        current = self._current
        changes |= {"max_tries": current.max_tries, "clear_number": current.clear_number}
        self._record = replace(self._record, **changes)
        if self._store:
            self._store.set(STATE_KEY, asdict(self._record))

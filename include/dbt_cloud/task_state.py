"""What the tries of one task tell each other about their dbt Cloud runs."""

from __future__ import annotations

import time
from typing import Any

from .runs import Run

KEY = "dbt_cloud_run"
GENERATION = "group"  # stored so before it had that name: a task may outlive an update
# A call whose answer is missing may still be at work in dbt Cloud for so long.
UNANSWERED_SECONDS = 20.0


class TaskState:
    """Kept in Airflow's task state store, which retries and clears leave as it is.

    ``first`` is the id after which runs belong to this generation of tries, ``last`` the newest
    run of the task when it last asked for one, ``asked_at`` when that was (seconds since the
    epoch).
    """

    def __init__(self, store: Any, generation: int) -> None:
        self._store = store
        self._generation = generation
        known = (store.get(KEY) if store else None) or {}
        self.has_asked = bool(known)
        """Whether a try, of this generation or an earlier one, has asked for a run."""
        self._known = known if known.get(GENERATION) == generation else {}

    def is_own(self, run: Run, generation: int | None) -> bool:
        """Whether this generation of tries started the run; ``generation`` is its key's."""
        first: int | None = self._known.get("first")
        return generation == self._generation or (first is not None and run.id > first)

    def is_waiting(self, newest: int) -> bool:
        """Whether a run that was asked for may still appear."""
        last: int = self._known.get("last", 0)
        asked_at: float = self._known.get("asked_at", 0.0)
        return newest <= last and time.time() < asked_at + UNANSWERED_SECONDS

    def asks(self, newest: int) -> None:
        """To be called before a run is asked for."""
        first = self._known.get("first", newest)
        self._keep(first=first, last=newest, asked_at=time.time())

    def was_refused(self) -> None:
        """Nothing will appear."""
        self._keep(first=self._known["first"])

    def _keep(self, **known: float) -> None:
        self._known = {GENERATION: self._generation, **known}
        if self._store:
            self._store.set(KEY, self._known)

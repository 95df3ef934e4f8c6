"""The key by which a task recognizes its own dbt Cloud runs, in the run's cause."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from ..airflow.compat import DBT_CAUSE_MAX_LENGTH, conf

if TYPE_CHECKING:
    from airflow.sdk import Context


@dataclass(frozen=True)
class IdempotencyKey:
    """Names the task instance that started a run; all tries of it share one ``token``."""

    token: str

    @classmethod
    def of(cls, context: Context) -> IdempotencyKey:
        """Return the key of the running task."""
        ti: Any = context["ti"]
        return cls(cls.token_of(ti.dag_id, ti.run_id, ti.task_id, ti.map_index))

    @staticmethod
    def token_of(dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> str:
        """Airflow's own address, `[api] base_url`, is part of it.

        So two deployments of one Dag which share a dbt Cloud job stay apart, if each has its own.
        """
        names = [conf.get("api", "base_url", fallback=""), dag_id, run_id, task_id, map_index]
        return sha256(json.dumps(names).encode()).hexdigest()[:16]

    def __str__(self) -> str:
        return f"airflow:{self.token}"

    def cause(self, reason: str) -> str:
        """The reason with the key, within dbt Cloud's limit; JSON (OpenLineage's) stays JSON."""
        with suppress(ValueError, TypeError):  # any other text is no JSON, or no object
            marked = json.dumps({**json.loads(reason), "run": str(self)}, separators=(",", ":"))
            if len(marked) <= DBT_CAUSE_MAX_LENGTH:
                return marked
        ending = f" [{self}]"
        return reason[: DBT_CAUSE_MAX_LENGTH - len(ending)] + ending

    def is_in(self, cause: str) -> bool:
        """Return whether this task instance started a run with this cause."""
        return str(self) in cause

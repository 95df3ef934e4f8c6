"""The key in a run's cause that identifies the task that started it."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from ..airflow.compat import DBT_CAUSE_MAX_LENGTH, conf

if TYPE_CHECKING:
    from airflow.sdk import Context

# As ``IdempotencyKey.cause`` adds it to text, and to a JSON object.
IN_CAUSE = re.compile(r' ?\[airflow:\w+\]|,?"run": ?"airflow:\w+"|airflow:[0-9a-f]{16}')


def without_key(cause: str) -> str:
    """Return a cause without the key of its task, for people to read."""
    return IN_CAUSE.sub("", cause)


@dataclass(frozen=True)
class IdempotencyKey:
    """Identifies a task instance; all its tries share one ``token``."""

    token: str

    @classmethod
    def of(cls, context: Context) -> IdempotencyKey:
        """Return the key of the running task."""
        ti: Any = context["ti"]
        return cls(cls.token_of(ti.dag_id, ti.run_id, ti.task_id, ti.map_index))

    @staticmethod
    def token_of(dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> str:
        """Return the token of a task instance.

        It includes Airflow's ``[api] base_url``, so that deployments that share a job stay apart.
        """
        names = [conf.get("api", "base_url", fallback=""), dag_id, run_id, task_id, map_index]
        return sha256(json.dumps(names).encode()).hexdigest()[:16]

    def __str__(self) -> str:
        return f"airflow:{self.token}"

    def cause(self, reason: str) -> str:
        """Return the reason with the key, within dbt Cloud's limit; a JSON object stays JSON."""
        with suppress(ValueError, TypeError):  # not JSON, or not an object
            marked = json.dumps({**json.loads(reason), "run": str(self)}, separators=(",", ":"))
            if len(marked) <= DBT_CAUSE_MAX_LENGTH:
                return marked
        ending = f" [{self}]"
        return reason[: DBT_CAUSE_MAX_LENGTH - len(ending)] + ending

    def is_in(self, cause: str) -> bool:
        """Return whether this task instance started a run with this cause."""
        return str(self) in cause

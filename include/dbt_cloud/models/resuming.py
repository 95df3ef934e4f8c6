"""Find the failed runs that a run of the job's task finishes.

Only dbt Cloud's data is used, since Airflow may have discarded an earlier try's state.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..api.client import DbtCloudClient
from ..api.runs import Run
from ..run.idempotency_key import IdempotencyKey
from ..run.recovery import commands_after_failure
from ..run.runs_of_task import runs_of_task

if TYPE_CHECKING:
    from airflow.sdk import Context

    from ..run.operator import DbtCloudRunJobExactlyOnceOperator


def runs_finished_by(
    task: DbtCloudRunJobExactlyOnceOperator, context: Context, run_id: int
) -> list[int]:
    """Return the failed runs that a run of the task finishes, oldest first, then the run itself."""
    dag_run: Any = context["dag_run"]
    moments = (dag_run.start_date, dag_run.run_after)
    job_id: Any = task.job_id
    finished = RunChain(
        client=task.client,
        job_id=job_id,
        key=IdempotencyKey.of(context),
        since=min(one for one in moments if one),
        own_steps=task.overrides["steps_override"],
        failed=task.failed_run(job_id),
    )
    found = [run_id]
    while (earlier := finished.by(found[0])) is not None:
        found.insert(0, earlier)
    return found


@dataclass(frozen=True)
class RunChain:
    """The runs of a task; ``own_steps`` is the ``steps_override`` of its new runs."""

    client: DbtCloudClient
    job_id: int
    key: IdempotencyKey
    since: datetime
    own_steps: list[str] | None
    failed: Run | None

    def by(self, run_id: int) -> int | None:
        """Return the failed run that this one finishes; None if it is a new one.

        A run finishes another if it is dbt Cloud's retry of it, or if its commands are exactly the
        unfinished ones of the failed run before it.
        """
        details = self.client.get(f"runs/{run_id}/", include_related="trigger")
        run, steps = Run.of(details), (details.get("trigger") or {}).get("steps_override")
        if run.resumes is not None:
            return run.resumes
        if not run.is_rerun and (not steps or steps == self.own_steps):
            return None
        before = [one for one in self.runs_of_task if one.id < run_id]
        if not before or not before[-1].has_failed:
            return None
        return before[-1].id if run.is_rerun or self.is_left_by(before[-1], steps) else None

    def is_left_by(self, failed: Run, steps: list[str] | None) -> bool:
        details = self.client.get(f"runs/{failed.id}/", include_related="run_steps,job,trigger")
        return commands_after_failure(self.client, details) == steps

    @cached_property
    def runs_of_task(self) -> list[Run]:
        return runs_of_task(self.client, self.job_id, self.key, self.since, self.failed)

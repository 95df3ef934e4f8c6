"""Which failed runs a run of the job's task finishes.

All of it comes from dbt Cloud: Airflow may have forgotten what an earlier try has stored.
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
    """Return a run of the task, after the failed runs that it finishes, oldest first."""
    dag_run: Any = context["dag_run"]
    moments = (dag_run.start_date, dag_run.run_after)
    job_id: Any = task.job_id
    finished = FinishedRuns(
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
class FinishedRuns:
    """``own_steps`` is what a fresh run of the task does otherwise than its job."""

    client: DbtCloudClient
    job_id: int
    key: IdempotencyKey
    since: datetime
    own_steps: list[str] | None
    failed: Run | None

    def by(self, run_id: int) -> int | None:
        """Return the failed run that this one finishes; None if it is a fresh one.

        It finishes another if it is dbt Cloud's own retry, or if its commands are just those that
        the failed run before it has left to do.
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

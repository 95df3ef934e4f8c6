"""Follow the run that dbt Cloud starts by itself after another run: a completion trigger."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

from ..airflow.compat import AirflowException, AirflowSkipException
from ..api.client import DbtCloudClient
from ..api.jobs import completion_condition, get_job
from ..api.runs import Run, runs_of_job, status_name
from .exactly_once import LOOK_SECONDS
from .operator import DbtCloudRunJobExactlyOnceOperator


class DbtCloudFollowTriggeredRunOperator(DbtCloudRunJobExactlyOnceOperator):
    """Waits for the run of a job that dbt Cloud starts when another job's run ends.

    The task starts no run of its own, with two exceptions: a retry or a clear resumes the run if it
    failed, and starts a new one if it was cancelled. After a clear of both tasks, it follows the
    run that the other task's new run has started. Clearing only this task after a success changes
    nothing.

    The task is skipped if the other run ended with a status that does not start the job.

    Args:
        triggered_by_run_id: The finished run of the other job. None, if it has none, skips the
            task. Templated.
        start_seconds: Seconds to wait until dbt Cloud has started the run.

    Raises:
        AirflowException: dbt Cloud has not started the run, or the other run is still active.
    """

    template_fields = (  # type: ignore[assignment]  # the other's is of a fixed length
        *DbtCloudRunJobExactlyOnceOperator.template_fields,
        "triggered_by_run_id",
    )

    def __init__(
        self,
        *,
        triggered_by_run_id: int | str | None,
        start_seconds: float = 120.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.triggered_by_run_id = triggered_by_run_id
        self.start_seconds = start_seconds

    def triggered_run(self, job_id: int) -> Run:
        if self.triggered_by_run_id is None:
            raise AirflowSkipException(f"No run has started job {job_id}: its parent has none.")
        parent = self.client.get(f"runs/{self.triggered_by_run_id}/")
        if Run.of(parent).is_active:
            raise AirflowException(
                f"Run {parent['id']} is still running: job {job_id} starts when it has ended. "
                "The next try checks it again."
            )
        deadline = time.monotonic() + self.start_seconds
        while not (run := run_triggered_by(self.client, parent, job_id)):
            check_trigger(self.client, parent, job_id)
            if time.monotonic() > deadline:
                raise AirflowException(
                    f"dbt Cloud has not started job {job_id} within {self.start_seconds:.0f} s, "
                    f"although run {parent['id']} has ended. The next try checks it again."
                )
            time.sleep(LOOK_SECONDS)
        self.log.info("Run %s has started run %s: %s", parent["id"], run.id, run.url)
        return run


def run_triggered_by(client: DbtCloudClient, parent: dict[str, Any], job_id: int) -> Run | None:
    """Return the job's run that the end of ``parent`` has started, if there is one.

    dbt Cloud does not document which run started another, only that a completion trigger did. Runs
    of one job never overlap, so it is the job's first such run after the middle of ``parent``.
    Half of its time is the margin for clocks and for delays before the start.
    """
    ended = datetime.fromisoformat(parent["finished_at"])
    began = datetime.fromisoformat(parent["started_at"] or parent["finished_at"])
    middle = began + (ended - began) / 2
    found = None
    for run in runs_of_job(client, job_id):
        if run.created_at < middle:
            break
        if run.is_triggered:
            found = run
    return found


def check_trigger(client: DbtCloudClient, parent: dict[str, Any], job_id: int) -> None:
    """Raise ``AirflowSkipException`` unless the end of ``parent`` starts the job."""
    job = get_job(client, job_id)
    trigger = completion_condition(job)
    if trigger.get("job_id") != parent["job_definition_id"]:
        raise AirflowSkipException(
            f"{job['name']!r} no longer starts after job {parent['job_definition_id']}: its "
            "completion trigger was changed. Trigger the Dag again."
        )
    if parent["status"] not in trigger["statuses"]:
        statuses = " or ".join(status_name(one) for one in trigger["statuses"])
        raise AirflowSkipException(
            f"dbt Cloud starts {job['name']!r} only after {statuses}, but run {parent['id']} ended "
            f"with {status_name(parent['status'])}: {parent['href']}"
        )

"""Find a task's dbt Cloud run, or start one."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ..airflow.compat import AirflowException
from ..api.client import DbtCloudClient
from ..api.jobs import explained
from ..api.responses import DbtCloudRefusedError, NoAnswerError
from ..api.runs import Run
from .failures import describe_unfinished
from .idempotency_key import IdempotencyKey
from .recovery import commands_after_failure, overrides_of, refusal_reason
from .runs_of_task import runs_of_task
from .task_state import TaskState

LOOK_SECONDS = 1.0
CANCEL_SECONDS = 60.0
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ExactlyOnce:
    """One task instance and its job.

    Attributes:
        body: The request body of a new run.
        failed: A failed run, started by Airflow or not, to finish instead of starting a new one.
        triggered: A run that dbt Cloud started for this task. It is never replaced by a new one,
            unless it was cancelled.
    """

    client: DbtCloudClient
    job_id: int
    key: IdempotencyKey
    task_state: TaskState
    since: datetime
    body: dict[str, Any]
    failed: Run | None = None
    triggered: Run | None = None

    def run(self) -> Run:
        """Return the only run of this generation of tries: active, succeeded, resumed or new."""
        runs = self._runs_after_lost_answer()
        if self.task_state.is_first_try:
            runs = self._without_deleted(runs)
        newest = runs[-1] if runs else None
        if newest and self.triggered:
            return self._follow_triggered(newest)
        if self.task_state.is_new_generation:
            self.task_state.begin_generation(newest)
        if newest is None:
            return self._resume_or_start(newest, "it has no run yet")
        if newest.id > self.task_state.after:
            return self._continue(newest)
        return self._replace(newest)

    def _runs_after_lost_answer(self) -> list[Run]:
        runs = self._runs_of_task()
        if self.task_state.awaits_run(newest_id(runs)):
            log.info("An earlier try requested a run and got no response: looking for that run.")
        while self.task_state.awaits_run(newest_id(runs)):
            time.sleep(LOOK_SECONDS)
            runs = self._runs_of_task()
        return runs

    def _without_deleted(self, runs: list[Run]) -> list[Run]:
        """Ignore runs that have the key before the first try: they are a deleted Dag run's."""
        deleted = [run for run in runs if self.key.is_in(run.cause)]
        if not deleted:
            return runs
        log.info("Run %s belongs to a deleted Dag run with this run id.", newest_id(deleted))
        self.task_state.ignore(newest_id(deleted))
        return self._runs_of_task()

    def _continue(self, own: Run) -> Run:
        """Continue the generation's run, after a crash or an automatic retry."""
        if own.is_active or own.has_succeeded:
            log.info("This task already has dbt Cloud run %s: %s", own.id, own.url)
            return self.task_state.follow(own)
        if own.has_failed:
            return self._resume(own, own)
        return self._resume_or_start(own, f"run {own.id} was cancelled")

    def _follow_triggered(self, newest: Run) -> Run:
        """Follow a new run regardless of its status; the next try resumes a failed one."""
        if self.task_state.has_started(newest):
            return self._continue(newest)
        return self.task_state.follow(newest)

    def _replace(self, earlier: Run) -> Run:
        """Replace the run of an earlier generation, after a user's clear.

        Follow it instead if a person resumed it in dbt Cloud.
        """
        is_manual = earlier.is_resumed and not self.task_state.has_started(earlier)
        if is_manual and (earlier.is_active or earlier.has_succeeded):
            log.info("A failed run was resumed in dbt Cloud: following run %s.", earlier.id)
            return self.task_state.follow(earlier)
        if earlier.is_active:
            earlier = self._cancel(earlier)
        if earlier.has_failed:
            return self._resume(earlier, earlier)
        return self._resume_or_start(earlier, "a user cleared the task")

    def _cancel(self, earlier: Run) -> Run:
        """Cancel a run that was cleared before its trigger started and could cancel it."""
        log.info("A user cleared the task: cancelling its run %s.", earlier.id)
        self.client.cancel(earlier.id)
        deadline = time.monotonic() + CANCEL_SECONDS
        while earlier.is_active:
            if time.monotonic() > deadline:
                raise AirflowException(
                    f"Run {earlier.id}, from before the clear, is still being cancelled. "
                    "The next try checks it again before it starts a run."
                )
            time.sleep(LOOK_SECONDS)
            earlier = Run.of(self.client.get(f"runs/{earlier.id}/", include_related="trigger"))
        return earlier

    def _resume_or_start(self, previous: Run | None, why: str) -> Run:
        if self.failed:
            return self._resume(self.failed, previous)
        return self._start_new(previous, self.body, why)

    def _resume(self, failed: Run, newest: Run | None) -> Run:
        """Resume a run by dbt Cloud's retry, else by commands for the rest, else by a new run."""
        path = f"runs/{failed.id}/"
        details = self.client.get(path, include_related="run_steps,job,trigger")
        log.info("%s", describe_unfinished(self.client, details))
        why = details.get("retry_not_supported_reason")
        if details.get("can_retry"):
            log.info("Resuming run %s from where it failed.", failed.id)
            try:
                return self._post_once(f"{path}retry/", None, newest)
            except DbtCloudRefusedError as refusal:
                why = refusal.reason
        if resumed := self._newer_than(newest.id if newest else 0):
            log.info("Run %s was resumed in dbt Cloud: following run %s.", failed.id, resumed.id)
            return self.task_state.follow(resumed)
        body = self.body | (overrides_of(details) if self.failed else {})
        commands = commands_after_failure(self.client, details)
        if not commands:
            why = f"run {failed.id} cannot be resumed: {refusal_reason(why)}"
            return self._start_new(newest, body, why)
        log.info(
            "Run %s cannot be resumed: %s. Running instead: %s",
            failed.id,
            refusal_reason(why),
            commands,
        )
        return self._trigger(newest, body | {"steps_override": commands})

    def _start_new(self, previous: Run | None, body: dict[str, Any], why: str) -> Run:
        log.info("Starting a run of job %s for this task: %s.", self.job_id, why)
        return self._trigger(previous, body)

    def _trigger(self, previous: Run | None, body: dict[str, Any]) -> Run:
        try:
            return self._post_once(f"jobs/{self.job_id}/run/", body, previous)
        except DbtCloudRefusedError as refusal:
            raise explained(refusal, self.job_id) from None

    def _post_once(self, path: str, body: dict[str, Any] | None, previous: Run | None) -> Run:
        """Send the call that creates a run; after a lost response, look for that run."""
        last = previous.id if previous else 0
        self.task_state.record_request(last)
        try:
            run = Run.of(self.client.post(path, body))
            log.info("dbt Cloud created run %s: %s", run.id, run.url)
            return self.task_state.follow(run)
        except DbtCloudRefusedError:
            self.task_state.record_refusal()
            raise
        except NoAnswerError as error:
            if error.is_undone:
                self.task_state.record_refusal()
                raise
            log.warning("%s: checking whether it started a run.", error)
            return self._find_lost_run(last, error)

    def _find_lost_run(self, last: int, lost: NoAnswerError) -> Run:
        self.task_state.record_request(last)  # restarts the time limit
        while not (run := self._newer_than(last)):
            if not self.task_state.awaits_run(last):
                raise AirflowException(
                    f"{lost}, and no run has appeared. The next try checks again before a start."
                ) from lost
            time.sleep(LOOK_SECONDS)
        log.info("It started run %s: %s", run.id, run.url)
        return self.task_state.follow(run)

    def _newer_than(self, run_id: int) -> Run | None:
        """Return the newest run of the task if its id is greater."""
        runs = self._runs_of_task()
        return runs[-1] if newest_id(runs) > run_id else None

    def _runs_of_task(self) -> list[Run]:
        given, ignored = self.triggered or self.failed, self.task_state.ignored
        return runs_of_task(self.client, self.job_id, self.key, self.since, given, ignored)


def newest_id(runs: list[Run]) -> int:
    return runs[-1].id if runs else 0

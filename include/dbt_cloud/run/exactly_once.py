"""Finds the dbt Cloud run of a task, or starts it: never two."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ..airflow.compat import AirflowException
from ..api.client import DbtCloudClient
from ..api.responses import DbtCloudRefusedError, NoAnswerError
from ..api.runs import Run
from .failures import describe_unfinished
from .idempotency_key import IdempotencyKey
from .recovery import commands_after_failure, in_words, overrides_of
from .runs_of_task import runs_of_task
from .task_state import TaskState

LOOK_SECONDS = 1.0
CANCEL_SECONDS = 60.0
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ExactlyOnce:
    """One task instance and the job that it runs. ``body`` starts a fresh run.

    With ``failed``, a failed run of whomever, the task finishes that one instead of a fresh run.
    """

    client: DbtCloudClient
    job_id: int
    key: IdempotencyKey
    task_state: TaskState
    since: datetime
    body: dict[str, Any]
    failed: Run | None = None

    def run(self) -> Run:
        """The one run of this generation of tries: still active, succeeded, resumed or new."""
        runs = self._runs_after_lost_answer()
        if self.task_state.is_first_try:
            runs = self._without_deleted(runs)
        newest = runs[-1] if runs else None
        if self.task_state.is_new_generation:
            self.task_state.begin_generation(newest)
        if newest is None:
            return self._begin(newest, "it has no run yet")
        if newest.id > self.task_state.after:
            return self._go_on_with(newest)
        return self._begin_after(newest)

    def _runs_after_lost_answer(self) -> list[Run]:
        runs = self._runs_of_task()
        if self.task_state.awaits_run(newest_id(runs)):
            log.info("An earlier try asked for a run and got no answer: looking for that run.")
        while self.task_state.awaits_run(newest_id(runs)):
            time.sleep(LOOK_SECONDS)
            runs = self._runs_of_task()
        return runs

    def _without_deleted(self, runs: list[Run]) -> list[Run]:
        """Before the first try, runs with the key are of a deleted Dag run with the same run id."""
        deleted = [run for run in runs if self.key.is_in(run.cause)]
        if not deleted:
            return runs
        log.info("Run %s belongs to a deleted Dag run with this run id.", newest_id(deleted))
        self.task_state.ignore(newest_id(deleted))
        return self._runs_of_task()

    def _go_on_with(self, own: Run) -> Run:
        """After a crash or an automatic retry."""
        if own.is_active or own.has_succeeded:
            log.info("This task has dbt Cloud run %s already: %s", own.id, own.url)
            return self.task_state.follow(own)
        if own.has_failed:
            return self._resume(own, own)
        return self._begin(own, f"run {own.id} was cancelled")

    def _begin_after(self, earlier: Run) -> Run:
        """After a user's clear, what came before is an earlier generation's.

        Only a person's retry in dbt Cloud is not: the task follows it.
        """
        is_persons = earlier.is_resumed and not self.task_state.has_started(earlier)
        if is_persons and (earlier.is_active or earlier.has_succeeded):
            log.info("A failed run was resumed in dbt Cloud: following run %s.", earlier.id)
            return self.task_state.follow(earlier)
        if earlier.is_active:
            earlier = self._cancel(earlier)
        if earlier.has_failed:
            return self._resume(earlier, earlier)
        return self._begin(earlier, "a user cleared the task")

    def _cancel(self, earlier: Run) -> Run:
        """For a clear that came before the trigger had started, and could cancel the run itself."""
        log.info("A user cleared the task: cancelling its run %s.", earlier.id)
        self.client.cancel(earlier.id)
        deadline = time.monotonic() + CANCEL_SECONDS
        while earlier.is_active:
            if time.monotonic() > deadline:
                raise AirflowException(
                    f"Run {earlier.id}, from before the clear, is still being cancelled. "
                    "The next try looks again before it starts one."
                )
            time.sleep(LOOK_SECONDS)
            earlier = Run.of(self.client.get(f"runs/{earlier.id}/", include_related="trigger"))
        return earlier

    def _begin(self, previous: Run | None, why: str) -> Run:
        if self.failed:
            return self._resume(self.failed, previous)
        return self._start_afresh(previous, self.body, why)

    def _resume(self, failed: Run, newest: Run | None) -> Run:
        """dbt Cloud's own retry if it can, else what failed and was skipped, else everything."""
        path = f"runs/{failed.id}/"
        details = self.client.get(path, include_related="run_steps,job,trigger")
        log.info("%s", describe_unfinished(self.client, details))
        why = details.get("retry_not_supported_reason")
        if details.get("can_retry"):
            log.info("Resuming run %s from where it failed.", failed.id)
            try:
                return self._ask(f"{path}retry/", None, newest)
            except DbtCloudRefusedError as refusal:
                why = refusal.reason
        if resumed := self._newer_than(newest.id if newest else 0):
            log.info("Run %s was resumed in dbt Cloud: following run %s.", failed.id, resumed.id)
            return self.task_state.follow(resumed)
        body = self.body | (overrides_of(details) if self.failed else {})
        commands = commands_after_failure(self.client, details)
        if not commands:
            why = f"run {failed.id} cannot be resumed: {in_words(why)}"
            return self._start_afresh(newest, body, why)
        log.info(
            "Run %s cannot be resumed: %s. Running instead: %s",
            failed.id,
            in_words(why),
            commands,
        )
        return self._ask_for_run(newest, body | {"steps_override": commands})

    def _start_afresh(self, previous: Run | None, body: dict[str, Any], why: str) -> Run:
        log.info("Starting a run of job %s for this task: %s.", self.job_id, why)
        return self._ask_for_run(previous, body)

    def _ask_for_run(self, previous: Run | None, body: dict[str, Any]) -> Run:
        return self._ask(f"jobs/{self.job_id}/run/", body, previous)

    def _ask(self, path: str, body: dict[str, Any] | None, previous: Run | None) -> Run:
        """Sends the one call that makes a run; if its answer is lost, looks whether it did."""
        last = previous.id if previous else 0
        self.task_state.asks(last)
        try:
            run = Run.of(self.client.post(path, body))
            log.info("dbt Cloud has made run %s: %s", run.id, run.url)
            return self.task_state.follow(run)
        except DbtCloudRefusedError:
            self.task_state.was_refused()
            raise
        except NoAnswerError as error:
            if error.is_undone:
                self.task_state.was_refused()
                raise
            log.warning("%s: looking whether it has started a run.", error)
            return self._find_unanswered(last, error)

    def _find_unanswered(self, last: int, lost: NoAnswerError) -> Run:
        self.task_state.asks(last)  # the time counts from the moment the answer was lost
        while not (run := self._newer_than(last)):
            if not self.task_state.awaits_run(last):
                raise AirflowException(
                    f"{lost}, and no run has appeared. The next try looks again before it asks."
                ) from lost
            time.sleep(LOOK_SECONDS)
        log.info("It has: run %s, %s", run.id, run.url)
        return self.task_state.follow(run)

    def _newer_than(self, known: int) -> Run | None:
        """The newest run of the task, if it is newer than the run with this id."""
        runs = self._runs_of_task()
        return runs[-1] if newest_id(runs) > known else None

    def _runs_of_task(self) -> list[Run]:
        ignored = self.task_state.ignored
        return runs_of_task(self.client, self.job_id, self.key, self.since, self.failed, ignored)


def newest_id(runs: list[Run]) -> int:
    return runs[-1].id if runs else 0

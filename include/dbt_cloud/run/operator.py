"""A ``DbtCloudRunJobOperator`` that starts one dbt Cloud run, despite crashes."""

from __future__ import annotations

import time
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudJobRunException
from airflow.providers.dbt.cloud.operators.dbt import DbtCloudRunJobOperator

from ..airflow.compat import (
    AirflowException,
    AirflowFailException,
    inject_parent_job_information_into_dbt_cloud_cause,
)
from ..api.client import DbtCloudClient
from ..api.jobs import JOB_IDS, JobName, find_job_id, id_of
from ..api.responses import NOT_FOUND, DbtCloudRefusedError, NoAnswerError, back_off
from ..api.runs import Run
from ..lineage_events.emission import emit_for_task
from .exactly_once import ExactlyOnce
from .failures import describe_failure, is_in_the_code
from .idempotency_key import IdempotencyKey
from .polling import Silence
from .task_state import LOST_ANSWER_SECONDS, TaskState
from .trigger import DbtCloudRunTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context, XComArg

ABORT_SECONDS = 5.0  # for the end of a run that was cancelled


class DbtCloudRunJobExactlyOnceOperator(DbtCloudRunJobOperator):
    """Runs a dbt Cloud job: one run per task and generation of tries. Needs Airflow 3.3.

    Each run has a key in its cause. The task searches for the key before it starts a run. After a
    crash, a try continues with the existing run; after a failure, it resumes that run. Clearing the
    task cancels its active run, resumes a failed one, and otherwise starts a new one. Failed polls
    never fail a healthy run.

    If a person resumes the failed run in dbt Cloud, the task follows the resumed run.

    Limits:

    - Airflow passes a user's click to a trigger only once the triggerer has started it, a second or
      two after the task has deferred. A task marked failed before then leaves its run active.
    - Two Airflow deployments with the same Dag and job need different values of `[api] base_url`.
      Otherwise each treats the other's scheduled runs as its own.
    - Airflow kills a worker five seconds after a user's click. If dbt Cloud has not responded by
      then, the run of a task with ``deferrable=False`` stays active.
    - While dbt Cloud does not respond, a task detects up to ten seconds late that ``timeout``,
      ``execution_timeout`` or ``max_silence`` has passed; with ``deferrable=False`` up to one call
      later.
    - A second run is possible if the first appears in dbt Cloud later than ``lost_answer_seconds``
      after a lost response, or if the clocks of Airflow and dbt Cloud differ by more than a day.

    Arguments, XComs (``job_run_url``, ``job_run_id``, the run's id as result) and the link are
    those of ``DbtCloudRunJobOperator``, with these differences:

    Args:
        project_name, environment_name, job_name: Identify the job without ``job_id``. Each process
            searches for it once, with two calls.
        deferrable: True by default. False waits in the worker, with the same guarantees.
        max_silence: Seconds of failed polls, counted from the first one, after which the task
            fails. The run continues, and the next try finds it.
        lost_answer_seconds: Seconds to wait for a run to appear in dbt Cloud's list after the
            response to its start was lost. Only then does a try start another.
        failed_run_id: A failed run of the job, started by Airflow or not. The task finishes it
            instead of starting a new one, or follows the run that resumed it. If dbt Cloud cannot
            resume it, each task that finishes it starts a run. Its overrides are kept. Templated.
        reuse_existing_run: Has no effect: other tasks' runs are never reused.
        retry_from_failure: Has no effect: the task's own failed run is always resumed.
        durable: Has no effect (provider 4.12): a retry always finds the task's own run.
        hook_params: Only ``timeout_seconds`` is used, the time limit of one call.

    Raises:
        DbtCloudJobRunException: The run failed, was cancelled or took too long. The message has
            the failed nodes and their messages.
        NoAnswerError: dbt Cloud did not respond for ``max_silence``, or to the start of a run.
    """

    template_fields = (  # type: ignore[assignment]  # the provider's is of a fixed length
        *DbtCloudRunJobOperator.template_fields,
        "failed_run_id",
    )
    cancels = True  # its run, when the task is cleared, marked or timed out

    def __init__(
        self,
        *,
        deferrable: bool = True,
        max_silence: float = 1800.0,
        lost_answer_seconds: float = LOST_ANSWER_SECONDS,
        failed_run_id: int | str | XComArg | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(deferrable=deferrable, **kwargs)
        self.max_silence = max_silence
        self.lost_answer_seconds = lost_answer_seconds
        self.failed_run_id = failed_run_id
        self.is_killed = False

    def execute(self, context: Context) -> int:
        run = self.find_or_start_run(context)
        self.run_id = run.id
        context["ti"].xcom_push(key="job_run_url", value=run.url)
        context["ti"].xcom_push(key="job_run_id", value=run.id)
        if self.is_killed:  # while dbt Cloud was starting the run
            self.on_kill()
        if not self.wait_for_termination:
            return run.id
        if not run.is_active:
            return self.result(run.id)
        return self.wait(context, run.id)

    def find_or_start_run(self, context: Context) -> Run:
        """Return the task's run; if the id found for the job's names is gone, find it again."""
        if self.job_id is not None:
            return self.run_of_this_task(context, id_of(self.job_id))
        name = self.name_of_job
        is_found_before = name in JOB_IDS
        try:
            return self.run_of_this_task(context, find_job_id(self.hook, self.client, name))
        except DbtCloudRefusedError as refusal:
            if not is_found_before or refusal.status != NOT_FOUND:
                raise
        JOB_IDS.pop(name, None)
        return self.run_of_this_task(context, find_job_id(self.hook, self.client, name))

    @property
    def name_of_job(self) -> JobName:
        """Return the names of the job; raise ``AirflowFailException`` if one is missing."""
        names = ("project_name", "environment_name", "job_name")
        if missing := [name for name in names if not getattr(self, name)]:
            raise AirflowFailException(
                f"Set job_id, or {', '.join(names)} (missing: {', '.join(missing)})."
            )
        values = {name: getattr(self, name) for name in names}
        return JobName(self.dbt_cloud_conn_id, self.client.account_id, **values)

    def wait(self, context: Context, run_id: int) -> int:
        trigger = self.trigger(run_id)
        self.log.info("Waiting for run %s: polling every %s s.", run_id, self.check_interval)
        if self.deferrable:
            self.defer(trigger=trigger, method_name="execute_complete")
        return self.execute_complete(context, wait_in_worker(self.client, trigger))

    def run_of_this_task(self, context: Context, job_id: int) -> Run:
        self.job_id = job_id
        key = IdempotencyKey.of(context)
        task_state = TaskState(context, self.lost_answer_seconds)
        return ExactlyOnce(
            client=self.client,
            job_id=job_id,
            key=key,
            task_state=task_state,
            since=since(context, task_state),
            body=self.overrides | {"cause": key.cause(self.reason(context))},
            failed=self.failed_run(job_id),
            triggered=self.triggered_run(job_id),
        ).run()

    def triggered_run(self, job_id: int) -> Run | None:
        """Return the run that dbt Cloud started for this task; here there is none."""

    @property
    def overrides(self) -> dict[str, Any]:
        """Return the overrides of a new run."""
        overrides = {"steps_override": self.steps_override, "schema_override": self.schema_override}
        return overrides | self.additional_run_config

    def failed_run(self, job_id: int) -> Run | None:
        """Return the run of ``failed_run_id``; raise ``AirflowFailException`` if it is invalid."""
        if self.failed_run_id is None:
            return None
        run = self.client.get(f"runs/{self.failed_run_id}/", include_related="trigger")
        if run["job_definition_id"] != job_id:
            raise AirflowFailException(f"Run {run['id']} does not belong to job {job_id}.")
        if not Run.of(run).has_failed:
            raise AirflowFailException(f"Run {run['id']} did not fail: nothing to finish.")
        return Run.of(run)

    def reason(self, context: Context) -> str:
        """Return the run's cause without the key: readable text, or OpenLineage's JSON."""
        ti: Any = context["ti"]
        what = f"Airflow finishes run {self.failed_run_id}" if self.failed_run_id else "Airflow"
        custom = self.additional_run_config.get("cause") or self.trigger_reason
        reason = custom or f"{what}: {ti.dag_id}.{ti.task_id}, {ti.run_id}"
        if self.openlineage_inject_parent_job_info:
            reason = inject_parent_job_information_into_dbt_cloud_cause(reason, ti) or reason
        return reason

    def trigger(self, run_id: int) -> DbtCloudRunTrigger:
        now = time.time()
        limit = self.execution_timeout
        return DbtCloudRunTrigger(
            conn_id=self.dbt_cloud_conn_id,
            account_id=self.client.account_id,
            run_id=run_id,
            poll_interval=self.check_interval,
            end_time=now + self.timeout,
            execution_deadline=now + limit.total_seconds() if limit else None,
            max_silence=self.max_silence,
            cancels=self.cancels,
        )

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None) -> int:
        """Return the run's id; raise ``DbtCloudJobRunException`` unless it succeeded."""
        if event is None:
            raise AirflowException("The trigger of this task sent no event: clear the task.")
        # From the XCom, since `dag.test()` drops the keyword arguments of `defer`.
        ti: Any = context["ti"]
        run_id = ti.xcom_pull(ti.task_id, key="job_run_id", map_indexes=ti.map_index)
        self.run_id = run_id
        if event["run_id"] != run_id:
            # On SQLite a new trigger can reuse the id of a cleared one, and receive its last event.
            return self.wait(context, run_id)
        if event["outcome"] == "ended":
            return self.result(run_id)
        if event["outcome"] == "silent":
            raise NoAnswerError(event["message"])
        if event["outcome"] == "timeout":
            self.on_kill()
        raise DbtCloudJobRunException(event["message"])

    def result(self, run_id: int) -> int:
        """Return the id of a finished run.

        Raises:
            AirflowFailException: dbt cannot parse, compile or execute the code; no retry follows.
            DbtCloudJobRunException: The run failed otherwise, or was cancelled.
        """
        run = Run.of(self.client.get(f"runs/{run_id}/"))
        if not run.has_succeeded:
            failure = describe_failure(self.client, run.id)
            if is_in_the_code(failure):
                raise AirflowFailException(failure)
            raise DbtCloudJobRunException(failure)
        self.log.info("dbt Cloud run %s succeeded: %s", run.id, run.url)
        return run.id

    def on_kill(self) -> None:
        """Cancel the run, since the task was cleared, marked or timed out."""
        self.is_killed = True
        if not self.run_id or not self.cancels:
            return
        try:
            self.client.cancel(self.run_id)
            self.log.info("dbt Cloud run %s was cancelled.", self.run_id)
        except AirflowException as error:
            self.log.warning("dbt Cloud run %s was not cancelled: %s", self.run_id, error)

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """Emit the finished run's events, also after a failure; OpenLineage's listener calls this.

        The provider's method emits no run, and no nodes of a failed or resumed run or of one with
        ``steps_override``.
        """
        run_ids = [self.run_id] if self.run_id and self.wait_for_termination else []
        patience = ABORT_SECONDS if self.is_killed else 0.0
        return emit_for_task(self, task_instance, run_ids, patience)

    @cached_property
    def client(self) -> DbtCloudClient:
        return DbtCloudClient(self.hook, self.account_id)


def since(context: Context, task_state: TaskState) -> datetime:
    """Return a time before all runs of this task; a clear changes the Dag run's start."""
    dag_run: Any = context["dag_run"]
    start: datetime = dag_run.start_date or dag_run.run_after
    if task_state.is_new_generation and not task_state.is_first_try:
        start = min(start, dag_run.run_after)
    return start


def wait_in_worker(client: DbtCloudClient, trigger: DbtCloudRunTrigger) -> dict[str, Any]:
    """Return the payload of the event that the trigger would fire.

    A hanging call delays it by at most ``timeout_seconds`` of ``hook_params``.
    """
    target, silence, failures = trigger.target, Silence(), 0
    while True:
        status, problem, pause = None, "", target.poll_interval
        try:
            status = client.get_once(f"runs/{target.run_id}/")["status"]
            failures = 0
        except AirflowException as error:  # a refusal, such as of a new token, does not end the run
            problem, failures = str(error), failures + 1
            pause = back_off(failures, getattr(error, "retry_after", 0.0))
        silence.update(is_good=not problem)
        if event := trigger.event(status, silence.seconds, problem):
            payload: dict[str, Any] = event.payload
            return payload
        left = min(target.seconds_left, target.max_silence - silence.seconds)
        time.sleep(max(0.0, min(pause, left)))

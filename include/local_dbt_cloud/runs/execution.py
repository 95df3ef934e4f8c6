"""Execute one run from Starting to its end, step by step."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfile

from sqlalchemy.orm import Session

from include.local_dbt_cloud.runs import steps as planning
from include.local_dbt_cloud.runs.checkout import CheckoutError, check_out
from include.local_dbt_cloud.runs.cloud_variables import cloud_variables
from include.local_dbt_cloud.runs.deadline import Deadline
from include.local_dbt_cloud.runs.deferral import (
    DeferralError,
    environment_to_defer,
    find_deferred_run,
)
from include.local_dbt_cloud.runs.engines import EngineError, Engines, effective_version
from include.local_dbt_cloud.runs.outcomes import (
    FAILED,
    SUCCEEDED,
    InterruptedRunError,
    Outcome,
    end_run,
)
from include.local_dbt_cloud.runs.retries import failed_index, plan_of
from include.local_dbt_cloud.runs.run_folder import RunFolder
from include.local_dbt_cloud.runs.steps import Step
from include.local_dbt_cloud.runs.warehouse import WarehouseLock, ensure_raw_data
from include.local_dbt_cloud.runs.worker_process import (
    DbtCommand,
    WorkerError,
    WorkerTimeoutError,
)
from include.local_dbt_cloud.settings import Settings
from include.local_dbt_cloud.storage.commands import is_retryable, parse_command
from include.local_dbt_cloud.storage.runs import end_step, move_run
from include.local_dbt_cloud.storage.schemas import Environment, Job, RunRequest
from include.local_dbt_cloud.storage.statuses import Status
from include.local_dbt_cloud.storage.store import Store
from include.local_dbt_cloud.storage.tables import RunRow, StepRow
from include.local_dbt_cloud.storage.variables import environment_of_job

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunPlan:
    """A run as it was stored at its start; ``resumed`` has the artifacts that a retry needs."""

    job: Job
    request: RunRequest
    environment: Environment
    variables: dict[str, str]
    steps: list[Step]
    resumed: Path | None

    def arguments(self, step: Step) -> list[str]:
        """Return dbt's arguments for a step; empty if dbt does not run it."""
        if step.resumes and self.resumed:
            return ["retry", "--state", str(self.resumed)]
        return parse_command(step.command) if step.command else []


def load_plan(session: Session, run_id: int, runs: Path) -> RunPlan:
    """Return the plan of a stored run; ``runs`` is the folder of all run folders."""
    run = session.get_one(RunRow, run_id)
    resumed = None
    if run.retrying_run_id is not None:
        previous = session.get_one(RunRow, run.retrying_run_id)
        resumed = RunFolder(runs / str(previous.id)).artifacts(failed_index(previous))
    return RunPlan(
        job=run.job_settings,
        request=RunRequest.model_validate(run.trigger),
        environment=Environment.model_validate(run.environment.definition),
        variables=environment_of_job(session, run.job),
        steps=plan_of(session, run),
        resumed=resumed,
    )


class RunExecution:
    """One run in one slot. ``interrupt`` is thread-safe."""

    def __init__(
        self,
        run_id: int,
        settings: Settings,
        store: Store,
        engines: Engines,
        warehouse_lock: WarehouseLock,
    ) -> None:
        self.run_id = run_id
        self.folder = RunFolder(settings.runs / str(run_id))
        self.finished = threading.Event()
        self._settings = settings
        self._store = store
        self._engines = engines
        self._worker = engines.default
        self._warehouse_lock = warehouse_lock
        self._interruption: Outcome | None = None
        self._deadline = Deadline.after(None)

    def interrupt(self, outcome: Outcome) -> None:
        """End the run with ``outcome``; its current dbt command is killed."""
        self._interruption = self._interruption or outcome
        self._worker.interrupt()

    def execute(self) -> None:
        """Run all steps; the run has always ended when this returns."""
        try:
            outcome = self._run_steps()
        except InterruptedRunError as interruption:
            outcome = interruption.outcome
        except (WorkerError, EngineError) as error:
            outcome = self._interruption or Outcome(Status.ERROR, str(error))
        except Exception as error:
            log.exception("Run %s failed in the local dbt Cloud", self.run_id)
            outcome = Outcome(Status.ERROR, f"The local dbt Cloud failed: {error}")
        try:
            with self._store.write() as session:
                end_run(session, session.get_one(RunRow, self.run_id), outcome)
        finally:
            self.folder.close()
            self.finished.set()

    def _run_steps(self) -> Outcome:
        with self._store.read() as session:
            plan = load_plan(session, self.run_id, self._settings.runs)
        self.folder.create()
        version = effective_version(plan.environment, plan.job, plan.request)
        self._worker = self._engines.choose(version)
        self._worker.start()
        self._check()
        with self._store.write() as session:
            run = session.get_one(RunRow, self.run_id)
            run.dbt_version = self._worker.dbt_version
            move_run(run, Status.RUNNING)
        self._deadline = Deadline.after(planning.timeout_seconds(plan.job, plan.request))
        for index, step in enumerate(plan.steps, start=1):
            if not self._run_step(plan, index, step) and step.must_succeed:
                return FAILED
        return SUCCEEDED

    def _run_step(self, plan: RunPlan, index: int, step: Step) -> bool:
        self._check()
        self.folder.open_step(index)
        step_id = self._create_step(index, step)
        began, succeeded = time.time(), True
        try:
            if step.command:
                succeeded = self._run_dbt(plan, index, plan.arguments(step))
            elif step.name == planning.CLONE:
                self._check_out(plan, index)
            else:
                self._write_profile(plan, index)
        except (WorkerError, CheckoutError, DeferralError, OSError) as error:
            self._check()
            self.folder.append_log(index, str(error))
            succeeded = False
        if step.command:
            self._save_artifacts(index, step, succeeded, began)
        with self._store.write() as session:
            status = Status.SUCCESS if succeeded else Status.ERROR
            message = None if succeeded else FAILED.message
            end_step(session.get_one(StepRow, step_id), status, message)
        return succeeded

    def _create_step(self, index: int, step: Step) -> int:
        with self._store.write() as session:
            row = StepRow(run_id=self.run_id, index=index, name=step.name, command=step.command)
            session.add(row)
            session.flush()
            return row.id

    def _check_out(self, plan: RunPlan, index: int) -> None:
        source = self._settings.dbt_project
        checkout = check_out(self.folder, source, plan.request, plan.environment)
        self.folder.write_log(index, checkout.log)
        with self._store.write() as session:
            run = session.get_one(RunRow, self.run_id)
            run.git_branch, run.git_sha = checkout.branch, checkout.sha

    def _write_profile(self, plan: RunPlan, index: int) -> None:
        job, request, warehouse = plan.job, plan.request, self._settings.warehouse
        ensure_raw_data(warehouse)
        output = planning.profile_output(job, plan.environment, request, warehouse)
        name = planning.profile_name(self.folder.project)
        text = planning.profile_yaml(name, output, planning.target_name(job, request))
        (self.folder.path / "profiles.yml").write_text(text)
        if self._parse_cache.exists():
            copyfile(self._parse_cache, self.folder.parse_cache)
        log = f"Profile {name}: schema {output['schema']}, {output['threads']} threads.\n"
        self.folder.write_log(index, log + self._defer(job))

    @property
    def _parse_cache(self) -> Path:
        return self._settings.partial_parse(self._worker.dbt_version or "")

    def _defer(self, job: Job) -> str:
        """Copy the state that the job defers to into the run's folder; return a log line."""
        with self._store.write() as session:
            deferred = find_deferred_run(session, job, self._settings.runs)
            if deferred is None:
                return ""
            session.get_one(RunRow, self.run_id).deferring_run_id = deferred.run_id
        deferred.copy_to(self.folder.state)
        return f"Defers to run {deferred.run_id} of job {deferred.job_id}.\n"

    def _run_dbt(self, plan: RunPlan, index: int, arguments: list[str]) -> bool:
        step = self.folder.step(index)
        with self._store.read() as session:
            from_cloud = cloud_variables(session.get_one(RunRow, self.run_id), plan.environment)
        variables = plan.variables | from_cloud | self.folder.dbt_environment(index)
        if self.folder.state.exists():
            variables = environment_to_defer(self.folder.state, arguments) | variables
        command = DbtCommand(
            arguments=arguments,
            environment=variables,
            logs=str(step / "logs.txt"),
            debug_logs=str(step / "debug_logs.txt"),
        )
        with self._warehouse_lock.take(arguments, self._check):
            self._worker.start()
            try:
                return self._worker.run(command, self._deadline.seconds_left, self._check)
            except WorkerTimeoutError:
                raise self._timed_out() from None

    def _save_artifacts(self, index: int, step: Step, succeeded: bool, began: float) -> None:
        """Save the step's artifacts, and record them in the run."""
        saved = self.folder.keep_artifacts(index)
        if self.folder.parse_cache.exists():
            copyfile(self.folder.parse_cache, self._parse_cache)
        with self._store.write() as session:
            run = session.get_one(RunRow, self.run_id)
            run.artifacts_saved = run.artifacts_saved or saved
            run.has_docs_generated |= succeeded and step.command == planning.DOCS
            run.has_sources_generated |= succeeded and step.command == planning.FRESHNESS
            if not succeeded and step.must_succeed:
                run.retry_not_supported_reason = self._retry_not_supported_reason(step, began)

    def _retry_not_supported_reason(self, step: Step, began: float) -> str | None:
        if not step.command or not is_retryable(step.command):
            return "RETRY_UNSUPPORTED_CMD"
        results = self.folder.target / "run_results.json"
        fresh = results.exists() and results.stat().st_mtime >= began
        return None if fresh else "RETRY_NO_RUN_RESULTS"

    def _check(self) -> None:
        """Raise InterruptedRunError if the run must end now."""
        if self._interruption:
            raise InterruptedRunError(self._interruption)
        if self._deadline.has_passed:
            raise self._timed_out()

    def _timed_out(self) -> InterruptedRunError:
        """Return the error of a run over its time limit, which dbt Cloud reports as cancelled."""
        return InterruptedRunError(Outcome(Status.CANCELLED, self._deadline.message))

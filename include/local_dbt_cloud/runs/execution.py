"""Carries one run from Starting to its end, step by step."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path
from shutil import copyfile

from sqlalchemy.orm import Session

from include.local_dbt_cloud.runs import steps as planning
from include.local_dbt_cloud.runs.checkout import CheckoutError, check_out
from include.local_dbt_cloud.runs.deadline import Deadline
from include.local_dbt_cloud.runs.deferral import (
    DeferralError,
    environment_to_defer,
    find_deferred_run,
)
from include.local_dbt_cloud.runs.engines import EngineError, Engines, wanted_version
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


class RunExecution:
    """One run in one slot. ``interrupt`` may be called from any thread."""

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
        """Ends the run as ``outcome`` says; the dbt command it is in is killed."""
        self._interruption = self._interruption or outcome
        self._worker.interrupt()

    def execute(self) -> None:
        """Runs all steps; whatever happens, the run has ended when this returns."""
        try:
            outcome = self._run_steps()
        except InterruptedRunError as interruption:
            outcome = interruption.outcome
        except (WorkerError, EngineError) as error:
            outcome = self._interruption or Outcome(Status.ERROR, str(error))
        except Exception as error:
            log.exception("Run %s met an error of the local dbt Cloud", self.run_id)
            outcome = Outcome(Status.ERROR, f"The local dbt Cloud could not go on: {error}")
        try:
            self._end(outcome)
        finally:
            self.folder.close()
            self.finished.set()

    def _load(self) -> None:
        with self._store.read() as session:
            run = session.get_one(RunRow, self.run_id)
            self._job: Job = run.job_settings
            self._request = RunRequest.model_validate(run.trigger)
            self._steps = plan_of(session, run)
            self._resumed = self._artifacts_to_resume(run, session)
            self._environment = Environment.model_validate(run.environment.definition)
            self._variables = environment_of_job(session, run.job)

    def _run_steps(self) -> Outcome:
        self._load()
        self.folder.create()
        version = wanted_version(self._environment, self._job, self._request)
        self._worker = self._engines.choose(version)
        self._worker.start()
        self._check()
        with self._store.write() as session:
            run = session.get_one(RunRow, self.run_id)
            run.dbt_version = self._worker.dbt_version
            move_run(run, Status.RUNNING)
        limit = planning.timeout_seconds(self._job, self._request)
        self._deadline = Deadline.after(limit)
        for index, step in enumerate(self._steps, start=1):
            if not self._run_step(index, step) and step.must_succeed:
                return FAILED
        return SUCCEEDED

    def _run_step(self, index: int, step: Step) -> bool:
        self._check()
        self.folder.open_step(index)
        step_id = self._begin_step(index, step)
        began = time.time()
        try:
            succeeded = self._perform(index, step)
        except (WorkerError, CheckoutError, DeferralError, OSError) as error:
            self._check()
            self.folder.append_log(index, str(error))
            succeeded = False
        if step.command:
            self._keep(index, step, succeeded, began)
        with self._store.write() as session:
            status = Status.SUCCESS if succeeded else Status.ERROR
            message = None if succeeded else FAILED.message
            end_step(session.get_one(StepRow, step_id), status, message)
        return succeeded

    def _perform(self, index: int, step: Step) -> bool:
        if step.command:
            return self._invoke(index, self._arguments(step.command, step.resumes))
        if step.name == planning.CLONE:
            self._check_out(index)
        else:
            self._write_profile(index)
        return True

    def _check_out(self, index: int) -> None:
        source = self._settings.dbt_project
        checkout = check_out(self.folder, source, self._request, self._environment)
        self.folder.write_log(index, checkout.log)
        with self._store.write() as session:
            run = session.get_one(RunRow, self.run_id)
            run.git_branch, run.git_sha = checkout.branch, checkout.sha

    def _write_profile(self, index: int) -> None:
        settings, job, request = self._settings, self._job, self._request
        ensure_raw_data(settings.warehouse)
        output = planning.profile_output(job, self._environment, request, settings.warehouse)
        name = planning.profile_name(self.folder.project)
        text = planning.profile_yaml(name, output, planning.target_name(job, request))
        (self.folder.path / "profiles.yml").write_text(text)
        if self._parse_cache.exists():
            copyfile(self._parse_cache, self.folder.parse_cache)
        log = f"Profile {name}: schema {output['schema']}, {output['threads']} threads.\n"
        self.folder.write_log(index, log + self._defer())

    @property
    def _parse_cache(self) -> Path:
        return self._settings.partial_parse(self._worker.dbt_version or "")

    def _defer(self) -> str:
        """Brings what the job defers to into the run's folder; returns a line for the log."""
        with self._store.write() as session:
            deferred = find_deferred_run(session, self._job, self._settings.runs)
            if deferred is None:
                return ""
            session.get_one(RunRow, self.run_id).deferring_run_id = deferred.run_id
        deferred.copy_to(self.folder.state)
        return f"Defers to run {deferred.run_id} of job {deferred.job_id}.\n"

    def _artifacts_to_resume(self, run: RunRow, session: Session) -> Path | None:
        if run.retrying_run_id is None:
            return None
        previous = session.get_one(RunRow, run.retrying_run_id)
        folder = RunFolder(self._settings.runs / str(previous.id))
        return folder.artifacts(failed_index(previous))

    def _arguments(self, command: str, resumes: bool) -> list[str]:
        if resumes and self._resumed:
            return ["retry", "--state", str(self._resumed)]
        return parse_command(command)

    def _invoke(self, index: int, arguments: list[str]) -> bool:
        with self._warehouse_lock.take(arguments, self._check):
            return self._run_command(index, arguments)

    def _run_command(self, index: int, arguments: list[str]) -> bool:
        self._worker.start()
        step = self.folder.step(index)
        request = DbtCommand(
            arguments=arguments,
            environment=self._dbt_environment(index, arguments),
            logs=str(step / "logs.txt"),
            debug_logs=str(step / "debug_logs.txt"),
        )
        try:
            return self._worker.run(request, self._deadline.seconds_left, self._check)
        except WorkerTimeoutError:
            raise self._timed_out() from None

    def _dbt_environment(self, index: int, arguments: list[str]) -> dict[str, str]:
        variables = self._variables | self.folder.dbt_environment(index)
        if self.folder.state.exists():
            return environment_to_defer(self.folder.state, arguments) | variables
        return variables

    def _begin_step(self, index: int, step: Step) -> int:
        with self._store.write() as session:
            row = StepRow(run_id=self.run_id, index=index, name=step.name, command=step.command)
            session.add(row)
            session.flush()
            return row.id

    def _keep(self, index: int, step: Step, succeeded: bool, began: float) -> None:
        """Saves the step's artifacts and what the run can tell about them."""
        kept = self.folder.keep_artifacts(index)
        if self.folder.parse_cache.exists():
            copyfile(self.folder.parse_cache, self._parse_cache)
        with self._store.write() as session:
            run = session.get_one(RunRow, self.run_id)
            run.artifacts_saved = run.artifacts_saved or kept
            run.has_docs_generated |= succeeded and step.command == planning.DOCS
            run.has_sources_generated |= succeeded and step.command == planning.FRESHNESS
            if not succeeded and step.must_succeed:
                run.retry_not_supported_reason = self._retry_not_supported_reason(
                    index, step, began
                )

    def _retry_not_supported_reason(self, index: int, step: Step, began: float) -> str | None:
        if not step.command or not is_retryable(step.command):
            return "RETRY_UNSUPPORTED_CMD"
        results = self.folder.target / "run_results.json"
        fresh = results.exists() and results.stat().st_mtime >= began
        return None if fresh else "RETRY_NO_RUN_RESULTS"

    def _end(self, outcome: Outcome) -> None:
        with self._store.write() as session:
            end_run(session, session.get_one(RunRow, self.run_id), outcome)

    def _check(self) -> None:
        """Raises InterruptedRunError if the run is to end now."""
        if self._interruption:
            raise InterruptedRunError(self._interruption)
        if self._deadline.has_passed:
            raise self._timed_out()

    def _timed_out(self) -> InterruptedRunError:
        """dbt Cloud ends a run that took too long as cancelled, not as an error."""
        return InterruptedRunError(Outcome(Status.CANCELLED, self._deadline.message))

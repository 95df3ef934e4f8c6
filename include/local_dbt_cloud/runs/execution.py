"""Execute one run from Starting to its end, step by step."""

from __future__ import annotations

import logging
import threading
import time
from functools import cached_property
from pathlib import Path
from shutil import copyfile

from ..settings import Settings
from ..storage.commands import is_retryable
from ..storage.dbt_project import DbtProject, DbtProjectError, read_dbt_project
from ..storage.profiles import ProfileError
from ..storage.runs import effective_version, end_step, move_run
from ..storage.schemas import Job
from ..storage.statuses import Status
from ..storage.store import Store
from ..storage.tables import RunRow, StepRow
from . import steps as planning
from .checkout import CheckoutError, check_out
from .cloud_variables import cloud_variables
from .deadline import Deadline
from .deferral import (
    DeferralError,
    environment_to_defer,
    find_deferred_run,
)
from .engines import EngineError, Engines
from .outcomes import (
    FAILED,
    SUCCEEDED,
    InterruptedRunError,
    Outcome,
    end_run,
)
from .run_folder import RunFolder
from .run_plan import RunPlan, load_plan
from .run_profile import RunProfile, write_profile
from .steps import Step
from .warehouse import Warehouse, WarehouseError
from .worker_process import (
    DbtCommand,
    WorkerError,
    WorkerTimeoutError,
)

log = logging.getLogger(__name__)
STEP_ERRORS = (
    WorkerError,
    CheckoutError,
    DeferralError,
    DbtProjectError,
    ProfileError,
    WarehouseError,
)


class RunExecution:
    """One run in one slot. ``interrupt`` is thread-safe."""

    def __init__(
        self,
        run_id: int,
        settings: Settings,
        store: Store,
        engines: Engines,
        warehouse: Warehouse,
    ) -> None:
        self.run_id = run_id
        self.folder = RunFolder(settings.runs / str(run_id))
        self.finished = threading.Event()
        self._settings = settings
        self._store = store
        self._engines = engines
        self._worker = engines.default
        self._warehouse = warehouse
        self._profile = RunProfile({}, {})
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
            plan = load_plan(session, self.run_id, self._settings)
        self.folder.create()
        version = effective_version(plan.environment, plan.job, plan.request)
        self._worker = self._engines.choose(version, self._check)
        self._worker.start(self._check)
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
        except (*STEP_ERRORS, OSError) as error:
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
        checkout = check_out(self.folder, plan.source, plan.request, plan.environment)
        self.folder.write_log(index, checkout.log)
        with self._store.write() as session:
            run = session.get_one(RunRow, self.run_id)
            run.git_branch, run.git_sha = checkout.branch, checkout.sha

    def _write_profile(self, plan: RunPlan, index: int) -> None:
        self._warehouse.prepare()
        self._profile = write_profile(self.folder, self._settings, self._project, plan)
        if self._parse_cache.exists():
            copyfile(self._parse_cache, self.folder.parse_cache)
        log = f"Profile {self._project.profile_name}: {self._profile.description}.\n"
        self.folder.write_log(index, log + self._defer(plan.job))

    @cached_property
    def _project(self) -> DbtProject:
        """Return the project that was checked out."""
        return read_dbt_project(self.folder.project)

    @property
    def _parse_cache(self) -> Path:
        return self._settings.partial_parse(self._project.name, self._worker.dbt_version or "")

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
        own = self.folder.dbt_environment(index)
        variables = self._profile.variables | plan.variables | from_cloud | own
        if not self._project.profile:
            variables["DBT_PROFILE"] = self._project.profile_name
        if self.folder.state.exists():
            variables = environment_to_defer(self.folder.state, arguments) | variables
        command = DbtCommand(
            arguments=arguments,
            folder=str(self.folder.project),
            environment=variables,
            logs=str(step / "logs.txt"),
            debug_logs=str(step / "debug_logs.txt"),
        )
        with self._warehouse.take(self._profile.adapter, arguments, self._check):
            self._worker.start(self._check)
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

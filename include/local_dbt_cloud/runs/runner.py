"""Execute queued runs: one at a time per job, and as many at once as the account has run slots.

Pull request runs wait neither for their job nor for a slot; they have their own workers.
"""

from __future__ import annotations

import logging
import threading

from include.local_dbt_cloud.runs.engines import Engines
from include.local_dbt_cloud.runs.execution import RunExecution
from include.local_dbt_cloud.runs.outcomes import (
    CANCELLED,
    LOST,
    SERVER_STOPPED,
    end_abandoned_runs,
    end_run,
)
from include.local_dbt_cloud.runs.run_folder import remove_old_runs
from include.local_dbt_cloud.runs.warehouse import WarehouseLock, ensure_raw_data
from include.local_dbt_cloud.runs.worker_process import WorkerError
from include.local_dbt_cloud.settings import Settings
from include.local_dbt_cloud.storage.runs import claim_next_run
from include.local_dbt_cloud.storage.statuses import Status
from include.local_dbt_cloud.storage.store import Store
from include.local_dbt_cloud.storage.tables import RunRow

CANCEL_SECONDS = 10.0  # a killed command ends within milliseconds; the rest is for busy machines
WORKER_STOP_SECONDS = 1.5
IDLE_SECONDS = 5.0
CI_RUNS = 2  # at once; each has a dbt process of about 190 MB, started on its first use

log = logging.getLogger(__name__)


class Runner:
    """One thread and one dbt process per run slot, and more for pull requests."""

    def __init__(self, settings: Settings, store: Store, slots: int) -> None:
        self._settings = settings
        self._store = store
        self._warehouse_lock = WarehouseLock()
        self._engines: list[Engines] = []
        self._threads: list[threading.Thread] = []
        for ci in [False] * slots + [True] * CI_RUNS:
            engines = Engines(settings)
            self._engines.append(engines)
            self._threads.append(
                threading.Thread(target=self._work, args=(engines, ci), daemon=True)
            )
        self._executions: dict[int, RunExecution] = {}
        self._changed = threading.Condition()
        self._stopping = False

    def start(self) -> None:
        """End the runs that a crash interrupted, then start to execute runs."""
        with self._store.write() as session:
            end_abandoned_runs(session, SERVER_STOPPED)
        for thread in self._threads:
            thread.start()

    def wake(self) -> None:
        """Notify the workers that there may be a new run."""
        with self._changed:
            self._changed.notify_all()

    def cancel(self, run_id: int) -> None:
        """Cancel a run in any state; a finished run stays unchanged."""
        with self._changed:
            self._cancel_queued(run_id)
            execution = self._executions.get(run_id)
        if execution:
            execution.interrupt(CANCELLED)
            execution.finished.wait(CANCEL_SECONDS)

    def stop(self) -> None:
        """End active runs as errors and every dbt process; queued runs wait for the next start."""
        with self._changed:
            self._stopping = True
            executions = list(self._executions.values())
            self._changed.notify_all()
        for execution in executions:
            execution.interrupt(SERVER_STOPPED)
        for engines in self._engines:
            engines.close()
        for thread in self._threads:
            thread.join(WORKER_STOP_SECONDS)

    def _cancel_queued(self, run_id: int) -> None:
        with self._store.write() as session:
            run = session.get_one(RunRow, run_id)
            if run.status is Status.QUEUED:
                end_run(session, run, CANCELLED)
                self._changed.notify_all()  # another run may wait for this one

    def _work(self, engines: Engines, ci: bool) -> None:
        if not ci:
            self._warm_up(engines)
        while not self._stopping:
            try:
                self._run_next(engines, ci)
            except Exception:
                log.exception("Could not take or end a run; trying again in a moment")
                self._wait()

    def _run_next(self, engines: Engines, ci: bool) -> None:
        """Execute the next run for this slot, or wait for one."""
        execution = self._next_execution(engines, ci)
        if execution is None:
            return
        try:
            execution.execute()
        finally:
            self._release(execution)

    def _warm_up(self, engines: Engines) -> None:
        """Prepare for the first run, which repeats failed preparations and reports the error."""
        try:
            ensure_raw_data(self._settings.warehouse)
        except Exception as error:
            log.warning("Could not load the raw data yet: %s", error)
        try:
            engines.default.start()
        except WorkerError as error:
            if not self._stopping:
                log.warning("%s", error)

    def _next_execution(self, engines: Engines, ci: bool) -> RunExecution | None:
        with self._changed:
            with self._store.write() as session:
                end_abandoned_runs(session, LOST, active=self._executions)
                run = claim_next_run(session, ci)
                run_id = run.id if run else None
            if run_id is None:
                self._wait()
                return None
            execution = RunExecution(
                run_id, self._settings, self._store, engines, self._warehouse_lock
            )
            self._executions[run_id] = execution
            return execution

    def _wait(self) -> None:
        with self._changed:
            if not self._stopping:
                self._changed.wait(IDLE_SECONDS)

    def _release(self, execution: RunExecution) -> None:
        with self._changed:
            del self._executions[execution.run_id]
            self._changed.notify_all()
        remove_old_runs(self._settings.runs, self._settings.keep_runs, self._executions)

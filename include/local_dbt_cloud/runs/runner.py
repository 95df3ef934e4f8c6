"""Execute queued runs: one at a time per job, and as many at once as the account has run slots.

Pull request runs wait neither for their job nor for a slot; they have their own workers.
"""

from __future__ import annotations

import logging
import threading

from ..settings import Settings
from ..storage.jobs_file import JobsFile
from ..storage.runs import claim_next_run
from ..storage.statuses import Status
from ..storage.store import Store
from ..storage.tables import RunRow
from .engines import Engines
from .execution import RunExecution
from .outcomes import (
    CANCELLED,
    LOST,
    SERVER_STOPPED,
    end_abandoned_runs,
    end_run,
)
from .run_folder import remove_old_runs
from .warehouse import Warehouse, WarehouseError
from .worker_process import WorkerError

CANCEL_SECONDS = 10.0  # a killed command ends within milliseconds; the rest is for busy machines
WORKER_STOP_SECONDS = 1.5
IDLE_SECONDS = 5.0
CI_RUNS = 2  # at once; each has a dbt process of about 190 MB, started on its first use

log = logging.getLogger(__name__)


class Runner:
    """One thread and one dbt process per run slot, and more for pull requests.

    The first process starts with the server, the others with their first runs.
    """

    def __init__(self, settings: Settings, store: Store, warehouse: Warehouse, slots: int) -> None:
        self._settings = settings
        self._store = store
        self._warehouse = warehouse
        self._engines: list[Engines] = []
        self._threads: list[threading.Thread] = []
        for number in range(slots + CI_RUNS):
            engines = Engines(settings)
            self._engines.append(engines)
            arguments = (engines, number >= slots, number == 0)
            self._threads.append(threading.Thread(target=self._work, args=arguments, daemon=True))
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

    def reset(self, jobs_file: JobsFile) -> None:
        """End all runs, then delete everything that is not in the jobs file."""
        with self._changed:  # no worker takes a run meanwhile
            for execution in self._executions.values():
                execution.interrupt(CANCELLED)
            for execution in self._executions.values():
                execution.finished.wait(CANCEL_SECONDS)
            self._store.reset(jobs_file)

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

    def _work(self, engines: Engines, ci: bool, is_first: bool) -> None:
        if is_first:
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
            self._warehouse.prepare()
        except WarehouseError as error:
            log.warning("%s", error)
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
            execution = RunExecution(run_id, self._settings, self._store, engines, self._warehouse)
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

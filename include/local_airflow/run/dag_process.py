"""Run one Dag in this process with ``dag.test()`` and report every change as an event.

``make run`` starts ``python -m include.local_airflow.run.dag_process DAG EVENTS_FD RESPONSES_FD``
and redirects its standard output to the Dag run's log.
"""

from __future__ import annotations

import gc
import os
import re
import signal
import sys
import threading
import traceback
from types import FrameType
from typing import Any

from airflow.sdk import TaskInstanceState

from include.dbt_cloud.api.advice import advice
from include.local_airflow.airflow.find_dag import find_dag
from include.local_airflow.airflow.models import (
    XComModel,
    create_session,
    get_listener_manager,
    hookimpl,
)
from include.local_airflow.airflow.prepare_database import (
    export_connections,
    exported_variables,
    prepare_database,
)
from include.local_airflow.errors import LaunchError
from include.local_airflow.run.dbt_cloud_runs import DbtCloudRuns
from include.local_airflow.run.events import (
    DagRunFinished,
    DagRunStarted,
    Event,
    Failure,
    Phase,
    Question,
    TaskChanged,
)
from include.local_airflow.run.questions import answer_questions
from include.local_airflow.settings.launch import Launch
from include.local_airflow.settings.metadata_database import sqlite_database


class Reporter:
    """An Airflow listener that writes the state of each task instance to a pipe."""

    def __init__(self, pipe: int, responses: int) -> None:
        os.set_inheritable(pipe, False)
        os.set_inheritable(responses, False)
        # Both live as long as the process.
        self._pipe = open(pipe, "w", buffering=1)  # noqa: SIM115
        self._responses = open(responses)  # noqa: SIM115
        self._lock = threading.RLock()  # a signal handler may acquire it again
        self.runs = DbtCloudRuns()
        self._poller: threading.Thread | None = None

    def send(self, event: Event) -> None:
        """Send one event; the polling thread sends too."""
        with self._lock:
            self._pipe.write(event.model_dump_json() + "\n")

    def ask(self, question: Question) -> str:
        """Send a question and wait for the chosen option."""
        self.send(question)
        return self._responses.readline().strip()

    @hookimpl
    def on_task_instance_running(self, previous_state: Any, task_instance: Any) -> None:
        """Report that a try started, or resumed after its trigger fired."""
        if not gc.isenabled():
            gc.freeze()
            gc.enable()
        self._exit_on_sigterm(task_instance)
        self._send_task(task_instance, TaskInstanceState.RUNNING)
        self.runs.add_task(task_instance.task)
        if self._poller is None:
            arguments = (task_instance.dag_id, task_instance.run_id, self.send)
            self._poller = threading.Thread(target=self.runs.watch, args=arguments, daemon=True)
            self._poller.start()
            tasks = task_instance.task.dag.tasks
            if any(hasattr(task, "response_timeout") for task in tasks):  # human in the loop
                answer_questions(task_instance.dag_id, task_instance.run_id, self.ask)

    def _exit_on_sigterm(self, ti: Any) -> None:
        """Exit at SIGTERM; Airflow only calls the task's ``on_kill`` and continues."""
        on_kill = signal.getsignal(signal.SIGTERM)
        assert callable(on_kill)

        def exit_process(number: int, frame: FrameType | None) -> None:
            try:
                on_kill(number, frame)
                self.runs.poll(ti.dag_id, ti.run_id, self.send)
            finally:
                os._exit(1)

        signal.signal(signal.SIGTERM, exit_process)

    @hookimpl
    def on_task_instance_success(self, previous_state: Any, task_instance: Any) -> None:
        """Report that the task instance succeeded."""
        self._send_task(task_instance, TaskInstanceState.SUCCESS)

    @hookimpl
    def on_task_instance_skipped(self, previous_state: Any, task_instance: Any) -> None:
        """Report that the task instance skipped itself."""
        self._send_task(task_instance, TaskInstanceState.SKIPPED)

    @hookimpl
    def on_task_instance_failed(self, previous_state: Any, task_instance: Any, error: Any) -> None:
        """Report that the try failed; the state shows whether Airflow retries."""
        self._send_task(task_instance, task_instance.state, error)

    def _send_task(self, ti: Any, state: str, error: object = None) -> None:
        self.send(
            TaskChanged(
                task_id=ti.task_id,
                map_index=ti.map_index,
                state=str(getattr(state, "value", state)),
                try_number=ti.try_number,
                max_tries=ti.max_tries,
                error=redacted_first_line(error) if error else "",
                advice=advice(error),
                log_position=os.fstat(sys.stdout.fileno()).st_size,
            )
        )


def redacted_first_line(error: object) -> str:
    """Return an exception's class and the first line of its text, with tokens masked."""
    text = re.sub(r"\b(Token|Bearer) [^\s']+", r"\1 ***", str(error)).strip().splitlines()
    return ": ".join([type(error).__name__, *text[:1]])


def run(dag_id: str, launch: Launch, reporter: Reporter) -> None:
    """Run the Dag until the Dag run ends."""
    reporter.send(Phase(text="Preparing Airflow's metadata database"))
    database = sqlite_database(launch.home)
    settings = prepare_database(launch, database.mark)
    export_connections(settings)
    reporter.send(Phase(text=f"Reading the Dag {dag_id}"))
    with exported_variables(settings):
        dag = find_dag(dag_id, launch.dags_folder)
    tasks = [task.task_id for task in dag.topological_sort()]  # type: ignore[no-untyped-call]
    reporter.send(DagRunStarted(dag_id=dag_id, task_ids=tasks))
    get_listener_manager().add_listener(reporter)  # type: ignore[no-untyped-call]
    dag.deadline = None  # needs a scheduler; dag.test() would not end
    dag_run = dag.test()
    reporter.runs.stop()
    reporter.send(_finished(dag_run, tasks, reporter.runs))


def _finished(dag_run: Any, order: list[str], runs: DbtCloudRuns) -> DagRunFinished:
    with create_session() as session:
        instances = dag_run.get_task_instances(session=session)
        tasks = [
            TaskChanged(
                task_id=ti.task_id,
                map_index=ti.map_index,
                state=str(ti.state),
                try_number=ti.try_number,
            )
            for ti in sorted(instances, key=lambda ti: (order.index(ti.task_id), ti.map_index))
        ]
        query = XComModel.get_many(
            dag_ids=dag_run.dag_id, run_id=dag_run.run_id, key="return_value", map_indexes=-1
        )
        rows: list[Any] = list(session.scalars(query))
        returned = {row.task_id: XComModel.deserialize_value(row) for row in rows}
    return DagRunFinished(
        state=str(dag_run.state),
        tasks=tasks,
        returned={key: returned[key] for key in order if isinstance(returned.get(key), dict)},
        dbt_cloud=runs.results(dag_run.dag_id, dag_run.run_id),
    )


def main(dag_id: str, pipe: str, responses: str) -> int:
    """Run the Dag; return 0 if the end of the Dag run was reported."""
    gc.disable()  # until the first task: saves a third of the time, as startup objects all stay
    reporter = Reporter(int(pipe), int(responses))
    try:
        run(dag_id, Launch.read(), reporter)
    except LaunchError as error:
        reporter.send(Failure(text=str(error)))
    except Exception as error:
        traceback.print_exc()
        reporter.send(
            Failure(
                text=f"Airflow could not run {dag_id} ({redacted_first_line(error)}): see "
                f".airflow/logs/run-{dag_id}.log, correct the cause and run the command again."
            )
        )
    else:
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

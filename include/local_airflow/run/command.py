"""The command ``make run``."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from rich.console import Console
from rich.text import Text

from include.local_airflow.errors import INTERRUPTED, LaunchError
from include.local_airflow.run.events import EVENT, DagRunFinished, Event, Failure, Question
from include.local_airflow.run.progress import Progress
from include.local_airflow.run.prompt import ask
from include.local_airflow.run.summary import print_failures, print_skips, print_summary
from include.local_airflow.settings.active_dbt_cloud import active_dbt_cloud, check_before_start
from include.local_airflow.settings.environment import airflow_environment, make_keys
from include.local_airflow.settings.launch import Launch
from include.local_airflow.settings.metadata_database import sqlite_database
from include.local_airflow.supervisor.local_servers import wanted_servers
from include.local_airflow.supervisor.locks_and_ports import exclusive_lock


def run_dag(dag_id: str, launch: Launch, console: Console) -> int:
    """Run the Dag and print a summary; return 0 only if the Dag run succeeded.

    Raises:
        LaunchError: the Dag run could not start.
    """
    in_backend = check_before_start(launch, console)
    make_keys(launch.home)
    log = launch.home / "logs" / f"run-{dag_id}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with exclusive_lock(launch.home / "run.lock", blocking=False):
        return _run(dag_id, launch, in_backend, console, log)


def _run(dag_id: str, launch: Launch, in_backend: str, console: Console, log: Path) -> int:
    started = time.monotonic()
    progress = Progress(console)
    servers = wanted_servers(launch, dag_id)
    console.print(Text(active_dbt_cloud(launch, in_backend=in_backend)), soft_wrap=True)
    for server in servers:
        server.start(launch, "run", console.print)
    for server in servers:
        server.wait(launch)
    try:
        end = _follow(dag_id, launch, log, progress)
    except KeyboardInterrupt:
        console.print(_interrupted(dag_id, progress))
        return INTERRUPTED
    log_path = Path(os.path.relpath(log, launch.root))
    if end is None:
        raise LaunchError(f"The process that ran {dag_id} ended early: see {log_path}.")
    print_summary(console, dag_id, end, progress, time.monotonic() - started)
    print_skips(console, end, progress, log_path)
    if end.state != "success":
        print_failures(console, dag_id, end, progress, log_path)
    for server in servers:
        console.print(f"Still running: the {server.name} on {server.url(launch)}.")
    if servers:
        console.print("Stop them with make stop.")
    return 0 if end.state == "success" else 1


def _follow(dag_id: str, launch: Launch, log: Path, progress: Progress) -> DagRunFinished | None:
    """Start the Dag's process and show its events; return the last event."""
    with _dag_process(dag_id, launch, log) as (process, events, responses):
        try:
            return _show(events, responses, progress)
        except KeyboardInterrupt:
            process.terminate()
            # Wait until it has cancelled its dbt Cloud run, or for another Ctrl-C.
            _show(events, responses, progress)
            raise


def _show(events: Iterator[Event], responses: IO[str], progress: Progress) -> DagRunFinished | None:
    live = progress.live() if progress.console.is_terminal else None
    with live or contextlib.nullcontext():
        for event in events:
            if isinstance(event, Failure):
                raise LaunchError(event.text)
            if isinstance(event, DagRunFinished):
                return event
            if isinstance(event, Question):
                if live:
                    live.stop()
                print(ask(event, progress.console), file=responses, flush=True)
                if live:
                    live.start()
                continue
            progress.handle(event)
    return None


@contextlib.contextmanager
def _dag_process(
    dag_id: str, launch: Launch, log: Path
) -> Iterator[tuple[subprocess.Popen[bytes], Iterator[Event], IO[str]]]:
    """Yield the process that runs the Dag, its events, and the pipe for responses.

    The process ends with the block.
    """
    (read_events, events), (responses, write_responses) = os.pipe(), os.pipe()
    module = "include.local_airflow.run.dag_process"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", module, dag_id, str(events), str(responses)],
            cwd=launch.root,
            env=airflow_environment(launch, sqlite_database(launch.home)),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=(events, responses),
            start_new_session=True,
        )
    os.close(events)
    os.close(responses)
    try:
        with open(read_events) as pipe, open(write_responses, "w") as replies:
            yield process, map(EVENT.validate_json, pipe), replies
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Wait for a finished process; stop an unfinished one with all its children."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=0 if sys.exc_info()[0] else 5)
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=5)
            return


def _interrupted(dag_id: str, progress: Progress) -> str:
    text = f"Stopped: the Dag run of {dag_id} was aborted."
    if progress.dbt_cloud:
        text += f" Last state: {progress.dbt_cloud}."
    return text

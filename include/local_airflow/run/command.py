"""`make run`: one Dag, end to end, in the terminal."""

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
from include.local_airflow.settings.active_dbt_cloud import check_before_start, dbt_cloud_in_use
from include.local_airflow.settings.launch import Launch
from include.local_airflow.settings.metadata_database import sqlite_database
from include.local_airflow.supervisor.local_servers import wanted_servers
from include.local_airflow.supervisor.locks_and_ports import only_one


def run_dag(dag_id: str, launch: Launch, console: Console) -> int:
    """Run the Dag and print what happened; return 0 only if the Dag run succeeded.

    Raises:
        LaunchError: the Dag run could not begin.
    """
    in_backend = check_before_start(launch, console)
    launch.make_keys()
    log = launch.home / "logs" / f"run-{dag_id}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with only_one(launch.home, "run"):
        return _run(dag_id, launch, in_backend, console, log)


def _run(dag_id: str, launch: Launch, in_backend: str, console: Console, log: Path) -> int:
    began = time.monotonic()
    progress = Progress(console)
    servers = wanted_servers(launch, dag_id)
    console.print(Text(dbt_cloud_in_use(launch, in_backend=in_backend)), soft_wrap=True)
    for server in servers:
        server.start(launch, "run", console.print)
    for server in servers:
        server.wait(launch)
    try:
        end = _follow(dag_id, launch, log, progress)
    except KeyboardInterrupt:
        console.print(_interrupted(dag_id, progress))
        return INTERRUPTED
    place = Path(os.path.relpath(log, launch.root))
    if end is None:
        raise LaunchError(f"The process that ran {dag_id} ended early: read {place}.")
    print_summary(console, dag_id, end, progress, time.monotonic() - began)
    print_skips(console, end, progress, place)
    if end.state != "success":
        print_failures(console, dag_id, end, progress, place)
    for server in servers:
        console.print(f"Still running: the {server.name} on {server.url(launch)}.")
    if servers:
        console.print("make stop ends what is still running.")
    return 0 if end.state == "success" else 1


def _follow(dag_id: str, launch: Launch, log: Path, progress: Progress) -> DagRunFinished | None:
    """Start the Dag's process and show its events; return the last one."""
    with _dag_process(dag_id, launch, log) as (process, events, answers):
        try:
            return _show(events, answers, progress)
        except KeyboardInterrupt:
            process.terminate()
            # Until it has cancelled its dbt Cloud run, or Ctrl-C again.
            _show(events, answers, progress)
            raise


def _show(events: Iterator[Event], answers: IO[str], progress: Progress) -> DagRunFinished | None:
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
                print(ask(event, progress.console), file=answers, flush=True)
                if live:
                    live.start()
                continue
            progress.handle(event)
    return None


@contextlib.contextmanager
def _dag_process(
    dag_id: str, launch: Launch, log: Path
) -> Iterator[tuple[subprocess.Popen[bytes], Iterator[Event], IO[str]]]:
    """The process that runs the Dag, its events as they come, and where answers go.

    It does not outlive the block.
    """
    (read_events, events), (answers, write_answers) = os.pipe(), os.pipe()
    module = "include.local_airflow.run.dag_process"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", module, dag_id, str(events), str(answers)],
            cwd=launch.root,
            env=launch.environment(sqlite_database(launch.home)),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=(events, answers),
            start_new_session=True,
        )
    os.close(events)
    os.close(answers)
    try:
        with open(read_events) as pipe, open(write_answers, "w") as replies:
            yield process, map(EVENT.validate_json, pipe), replies
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Wait for a process that is done, and take down one that is not, with all its children."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=0 if sys.exc_info()[0] else 5)
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=5)
            return


def _interrupted(dag_id: str, progress: Progress) -> str:
    text = f"Stopped: the Dag run of {dag_id} was given up."
    if progress.dbt_cloud:
        text += f" Last seen: {progress.dbt_cloud}."
    return text

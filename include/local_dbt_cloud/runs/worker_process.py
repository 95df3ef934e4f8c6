"""The server's side of the dbt worker: start it, run a command, kill and replace it.

A killed dbt takes 3 s to be as warm again: what it imports, and what its first command compiles.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

WORKER = Path(__file__).with_name("worker.py")
START_SECONDS = 120.0  # importing dbt takes 4 s, on a busy machine much longer

# PYTHONPATH would show dbt our modules, and a project could print the token into its log; the
# others would point dbt at another Python.
HIDDEN_VARIABLES = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "LOCAL_DBT_CLOUD_TOKEN")


class WorkerError(Exception):
    """The worker ended or never started; the message is for the run's log."""


class WorkerTimeoutError(WorkerError):
    """The command took longer than it was allowed; the worker has been killed."""


@dataclass(frozen=True)
class DbtCommand:
    """One dbt command, its environment variables, and the files its logs go to."""

    arguments: list[str]
    environment: dict[str, str]
    logs: str
    debug_logs: str


class WorkerProcess:
    """One warm dbt process. ``interrupt`` and ``close`` may be called from any thread."""

    def __init__(self, dbt_python: Path, folder: Path) -> None:
        self._dbt_python = dbt_python
        self._folder = folder
        self._process: subprocess.Popen[str] | None = None
        self._closed = False
        self._busy = False
        self._lock = threading.Lock()
        self.dbt_version: str | None = None

    def start(self) -> None:
        """Starts the process if none is running and waits until dbt is imported."""
        with self._lock:
            if self._closed:
                raise WorkerError("The local dbt Cloud is stopping.")
            if self._process and self._process.poll() is None:
                return
            process = self._process = self._spawn()
            self._busy = True
        self.dbt_version = self._receive(process, START_SECONDS)["dbt_version"]

    def run(self, command: DbtCommand, seconds: float | None, check: Callable[[], None]) -> bool:
        """Runs a command for at most ``seconds``; returns whether dbt succeeded.

        Call ``start`` first: this never starts a process. ``check`` raises if the command is no
        longer wanted; an interruption after it kills the process. Raises WorkerTimeoutError when
        time is up, and WorkerError when the worker has ended.
        """
        with self._lock:
            check()
            process = self._process
            self._busy = process is not None
        if not process or not process.stdin:
            raise WorkerError("The dbt process is gone.")
        try:
            process.stdin.write(json.dumps(asdict(command)) + "\n")
            process.stdin.flush()
        except OSError:
            raise WorkerError("The dbt process is gone.") from None
        return bool(self._receive(process, seconds)["success"])

    def interrupt(self) -> None:
        """Ends the process with all that it started, if it starts or runs a command."""
        with self._lock:
            if self._busy:
                self._kill()

    def close(self) -> None:
        """Kills the process for good."""
        with self._lock:
            self._closed = True
            self._kill()

    def _kill(self) -> None:
        process, self._process = self._process, None
        if process and process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # `dbt deps` has git fetch packages
            process.wait()

    def _spawn(self) -> subprocess.Popen[str]:
        try:
            return subprocess.Popen(
                [self._dbt_python, "-P", WORKER],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd=self._folder,
                env=_environment(os.environ),
                text=True,
                start_new_session=True,  # Ctrl-C is for the server, which then ends the worker
            )
        except OSError as error:
            raise WorkerError(f"dbt's Python cannot be started: {error.strerror}.") from None

    def _receive(self, process: subprocess.Popen[str], seconds: float | None) -> dict[str, Any]:
        """The worker's next line; it sends one per request, so nothing is ever left over."""
        assert process.stdout
        readable, _, _ = select.select([process.stdout], [], [], seconds)
        if not readable:
            self.interrupt()
            raise WorkerTimeoutError(f"The dbt process gave no answer for {seconds:.0f} seconds.")
        line = process.stdout.readline()
        self._busy = False
        if not line:
            code = process.wait()
            raise WorkerError(f"The dbt process ended unexpectedly (exit code {code}).")
        answer: dict[str, Any] = json.loads(line)
        return answer


def _environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Ours without what would change dbt's behaviour behind the job's back."""
    return {
        name: value
        for name, value in variables.items()
        if name not in HIDDEN_VARIABLES and not name.startswith("DBT_")
    }

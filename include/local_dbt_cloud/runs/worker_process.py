"""The server's side of the dbt worker: start it, run a command, kill and replace it.

After a kill, importing dbt and the first command's compilation take 3 s.
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
START_SECONDS = 120.0  # importing dbt takes 4 s, and much longer on a busy machine

# PYTHONPATH would expose our modules to dbt, a project could print the token into its log, and the
# others would point dbt to another Python.
HIDDEN_VARIABLES = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "LOCAL_DBT_CLOUD_TOKEN")


class WorkerError(Exception):
    """The worker ended or never started; the message goes into the run's log."""


class WorkerTimeoutError(WorkerError):
    """The command exceeded its time limit; the worker has been killed."""


@dataclass(frozen=True)
class DbtCommand:
    """One dbt command, its folder and variables, and the files its logs go to."""

    arguments: list[str]
    folder: str
    environment: dict[str, str]
    logs: str
    debug_logs: str


class WorkerProcess:
    """One warm dbt process. ``interrupt`` and ``close`` are thread-safe."""

    def __init__(self, dbt_python: Path, folder: Path) -> None:
        self._dbt_python = dbt_python
        self._folder = folder
        self._process: subprocess.Popen[str] | None = None
        self._closed = False
        self._busy = False
        self._lock = threading.Lock()
        self.dbt_version: str | None = None

    def start(self, check: Callable[[], None] = lambda: None) -> None:
        """Start the process if none is running and wait until dbt is imported.

        ``check`` raises if no process is needed any more; a later interruption kills the process.
        """
        with self._lock:
            check()
            if self._closed:
                raise WorkerError("The local dbt Cloud is stopping.")
            if self._process and self._process.poll() is None:
                return
            process = self._process = self._spawn()
            self._busy = True
        self.dbt_version = self._receive(process, START_SECONDS)["dbt_version"]

    def run(self, command: DbtCommand, seconds: float | None, check: Callable[[], None]) -> bool:
        """Run a command for at most ``seconds``; return whether dbt succeeded.

        Call ``start`` first: this never starts a process. ``check`` raises if the command must not
        run any more; a later interruption kills the process. Raises WorkerTimeoutError at the time
        limit, and WorkerError if the worker has ended.
        """
        with self._lock:
            check()
            process = self._process
            self._busy = process is not None
        if not process or not process.stdin:
            raise WorkerError("The dbt process has ended.")
        try:
            process.stdin.write(json.dumps(asdict(command)) + "\n")
            process.stdin.flush()
        except OSError:
            raise WorkerError("The dbt process has ended.") from None
        return bool(self._receive(process, seconds)["success"])

    def interrupt(self) -> None:
        """Kill the process and its children if it is starting or running a command."""
        with self._lock:
            if self._busy:
                self._kill()

    def close(self) -> None:
        """Kill the process and never start another one."""
        with self._lock:
            self._closed = True
            self._kill()

    def _kill(self) -> None:
        process, self._process = self._process, None
        if process and process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # `dbt deps` starts git
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
                start_new_session=True,  # Ctrl-C stops the server, which then ends the worker
            )
        except OSError as error:
            raise WorkerError(f"Could not start dbt's Python: {error.strerror}.") from None

    def _receive(self, process: subprocess.Popen[str], seconds: float | None) -> dict[str, Any]:
        """Return the worker's next line; it sends one per request, so no output is left over."""
        assert process.stdout
        readable, _, _ = select.select([process.stdout], [], [], seconds)
        if not readable:
            self.interrupt()
            raise WorkerTimeoutError(f"The dbt process did not respond for {seconds:.0f} seconds.")
        line = process.stdout.readline()
        self._busy = False
        if not line:
            code = process.wait()
            raise WorkerError(f"The dbt process ended unexpectedly (exit code {code}).")
        response: dict[str, Any] = json.loads(line)
        return response


def _environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the server's variables without those that would change dbt's behaviour."""
    return {
        name: value
        for name, value in variables.items()
        if name not in HIDDEN_VARIABLES and not name.startswith("DBT_")
    }

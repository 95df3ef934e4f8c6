"""Background processes: each in a session of its own, with a pid file, ended by its pid."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # its types are a package of their own

from include.local_airflow.errors import LaunchError

GRACE = 10.0  # seconds between SIGTERM and SIGKILL


@dataclass(frozen=True)
class Background:
    """One background process by name; its pid file and log lie in Airflow's home."""

    name: str
    home: Path

    @property
    def pid_file(self) -> Path:
        return self.home / "pids" / f"{self.name}.json"

    @property
    def log(self) -> Path:
        return self.home / "logs" / f"{self.name}.log"

    def start(self, command: Sequence[str], environment: Mapping[str, str], port: int = 0) -> None:
        """Start `command` detached from this terminal; `port` is noted for `running_port`."""
        self.pid_file.parent.mkdir(parents=True, exist_ok=True)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("w") as log:
            process = subprocess.Popen(
                list(command),
                cwd=self.home.parent,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        note = {
            "pid": process.pid,
            "started": psutil.Process(process.pid).create_time(),
            "port": port,
        }
        self.pid_file.write_text(json.dumps(note))

    def find(self) -> psutil.Process | None:
        """Return the process if it is alive; remove a stale pid file.

        A pid is given out again after a crash or a restart of the machine, so the time at which
        the process started has to agree too.
        """
        try:
            process = psutil.Process(self._note()["pid"])
            same = abs(process.create_time() - self._note()["started"]) < 1  # seconds
            if same and _lives(process):
                return process
        except (psutil.NoSuchProcess, OSError, ValueError, KeyError, TypeError):
            pass
        self.pid_file.unlink(missing_ok=True)
        return None

    def running_port(self) -> int | None:
        """Return the port that the living process was started on, or None."""
        return int(self._note()["port"]) if self.find() else None

    def last_lines(self, count: int = 15) -> str:
        """Return the end of the log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-count:])

    def _note(self) -> dict[str, float]:
        note: dict[str, float] = json.loads(self.pid_file.read_text())
        return note


def stop_all(processes: Sequence[Background]) -> list[str]:
    """End the processes and their children; return the names of those that ran."""
    running = [(each, found) for each in processes if (found := each.find())]
    families = [member for _, found in running for member in _family(found)]
    for _, found in running:
        _signal_group(found, signal.SIGTERM)
    for process in (alive := _wait(families)):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    _wait(alive)
    for each, _ in running:
        each.pid_file.unlink(missing_ok=True)
    return [each.name for each, _ in running]


def _wait(processes: Sequence[psutil.Process]) -> list[psutil.Process]:
    """Wait until all have ended, at most for GRACE; return those that have not.

    A zombie has ended: in a container, nobody may be there to collect it.
    """
    deadline, alive = time.monotonic() + GRACE, list(processes)
    while alive and time.monotonic() < deadline:
        _, alive = psutil.wait_procs(alive, timeout=0.1)
        alive = [each for each in alive if _lives(each)]
    return alive


def _lives(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    return False


def _family(process: psutil.Process) -> list[psutil.Process]:
    with contextlib.suppress(psutil.NoSuchProcess):
        return [process, *process.children(recursive=True)]
    return []


def _signal_group(process: psutil.Process, number: signal.Signals) -> None:
    """Signal the whole session that `start` made, whose group has the first process's pid."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def require_free_port(port: int, variable: str, command: str) -> None:
    """Fail if something listens on the loopback port already.

    Raises:
        LaunchError: names the port and the variable that changes it.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise LaunchError(
                f"Port {port} is in use by another program: stop that program, or choose another "
                f"port with make {command} {variable}={port + 1}."
            ) from error

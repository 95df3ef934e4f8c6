"""Functions for processes, file locks and ports."""

from __future__ import annotations

import contextlib
import fcntl
import socket
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil

from include.local_airflow.errors import LaunchError


@contextlib.contextmanager
def exclusive_lock(file: Path, blocking: bool = True) -> Iterator[None]:
    """Hold the lock of the file, ``COMMAND.lock``; wait for it, or raise if not ``blocking``.

    Raises:
        LaunchError: another process holds the lock, and ``blocking`` is false.
    """
    file.parent.mkdir(exist_ok=True)
    with file.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX if blocking else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LaunchError(
                f"Another make {file.stem} is running in this checkout: wait until it has "
                "finished, or stop it with Ctrl-C in its terminal."
            ) from error
        yield


def end_all(processes: Sequence[psutil.Process], grace: float) -> None:
    """Send SIGTERM to the processes, and SIGKILL to those still alive after ``grace`` seconds."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    for process in (alive := wait(processes, grace)):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    wait(alive, grace)


def wait(processes: Sequence[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Wait until all have ended; return those that have not."""
    deadline, alive = time.monotonic() + seconds, list(processes)
    while (alive := [each for each in alive if is_alive(each)]) and time.monotonic() < deadline:
        psutil.wait_procs(alive, timeout=0.1)
    return alive


def is_alive(process: psutil.Process) -> bool:
    """Return whether the process runs; a zombie, which a container may never reap, does not."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return False


def require_free_port(port: int, variable: str, command: str) -> None:
    """Raise if the loopback port is in use.

    Raises:
        LaunchError: the port is in use; the message names the variable that changes it.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise LaunchError(
                f"Port {port} is in use by another program: stop that program, or choose another "
                f"port with make {command} {variable}={port + 10}."  # + 1 may be another clone's
            ) from error

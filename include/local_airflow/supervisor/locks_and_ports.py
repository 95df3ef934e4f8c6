"""Small things about processes, locks and ports."""

from __future__ import annotations

import contextlib
import fcntl
import secrets
import socket
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil

from include.local_airflow.errors import LaunchError

FREE_PORTS = range(10_000, 32_768)


@contextlib.contextmanager
def only_one(home: Path, command: str) -> Iterator[None]:
    """Keep two of a command from working in one checkout at the same time.

    Raises:
        LaunchError: another one is going on.
    """
    home.mkdir(exist_ok=True)
    with (home / f"{command}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LaunchError(
                f"Another make {command} is going on in this checkout: wait for its end, or end "
                "it with Ctrl-C in its terminal."
            ) from error
        yield


@contextlib.contextmanager
def in_turn(file: Path) -> Iterator[None]:
    """Wait until nobody else is in here."""
    with file.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def end_all(processes: Sequence[psutil.Process], grace: float) -> None:
    """End the processes with SIGTERM, and those that still live after `grace` seconds by force."""
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
    while (alive := [each for each in alive if lives(each)]) and time.monotonic() < deadline:
        psutil.wait_procs(alive, timeout=0.1)
    return alive


def lives(process: psutil.Process) -> bool:
    """A zombie has ended: in a container, nobody may be there to collect it."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return False


def free_port(among: Sequence[int] = FREE_PORTS) -> int:
    """Return a loopback port without a listener, chosen at random.

    Outgoing connections never get it before its server starts: Linux takes theirs from 32768 up,
    macOS from 49152 up.
    """
    while True:
        port = secrets.choice(among)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


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
                f"port with make {command} {variable}={port + 10}."  # not another clone's next one
            ) from error

"""Small things about processes and ports."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Sequence

import psutil

from include.local_airflow.errors import LaunchError


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


def free_port() -> int:
    """Return a loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


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

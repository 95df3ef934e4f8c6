from __future__ import annotations

import sys
from collections.abc import Callable

import psutil
import pytest

from include.local_airflow.errors import LaunchError
from include.local_airflow.processes import end_all, free_port, lives, require_free_port

STUBBORN = "import signal, time; signal.signal(15, signal.SIG_IGN); print(1); time.sleep(300)"


def test_kills_what_ignores_sigterm() -> None:
    process = psutil.Popen([sys.executable, "-u", "-c", STUBBORN], stdout=-1)
    assert process.stdout.read(1) == b"1"

    end_all([process], grace=0.5)

    assert not lives(process)
    process.wait()


def test_a_zombie_does_not_live() -> None:
    process = psutil.Popen([sys.executable, "-c", ""])
    while process.status() != psutil.STATUS_ZOMBIE:
        pass
    assert not lives(process)
    process.wait()


def test_names_the_port_that_is_taken(listener: Callable[[], int]) -> None:
    port = listener()
    with pytest.raises(LaunchError, match=f"Port {port} is in use .* make start PORT={port + 10}"):
        require_free_port(port, "PORT", "start")


def test_a_free_port_is_fine() -> None:
    require_free_port(free_port(), "PORT", "start")

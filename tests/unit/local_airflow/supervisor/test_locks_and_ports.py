from __future__ import annotations

import sys
from collections.abc import Callable

import psutil
import pytest

from include.local_airflow.errors import LaunchError
from include.local_airflow.supervisor.locks_and_ports import (
    end_all,
    is_alive,
    require_free_port,
)

STUBBORN = "import signal, time; signal.signal(15, signal.SIG_IGN); print(1); time.sleep(300)"


def test_end_all_kills_a_process_that_ignores_sigterm() -> None:
    process = psutil.Popen([sys.executable, "-u", "-c", STUBBORN], stdout=-1)
    assert process.stdout.read(1) == b"1"

    end_all([process], grace=0.5)

    assert not is_alive(process)
    process.wait()


def test_is_alive_is_false_for_a_zombie() -> None:
    process = psutil.Popen([sys.executable, "-c", ""])
    while process.status() != psutil.STATUS_ZOMBIE:
        pass
    assert not is_alive(process)
    process.wait()


def test_require_free_port_names_a_port_in_use(listener: Callable[[], int]) -> None:
    port = listener()
    with pytest.raises(LaunchError, match=f"Port {port} is in use .* make start PORT={port + 10}"):
        require_free_port(port, "PORT", "start")

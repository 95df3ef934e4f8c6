from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from include.local_airflow.errors import LaunchError
from include.local_airflow.processes import Background, require_free_port, stop_all

SLEEP = [sys.executable, "-c", "import time; time.sleep(300)"]
FAMILY = [sys.executable, "-c", f"import subprocess; subprocess.run({SLEEP!r})"]


@pytest.fixture
def background(tmp_path: Path) -> Iterator[Background]:
    background = Background("sleeper", tmp_path / ".airflow")
    yield background
    stop_all([background])


def test_finds_what_it_started(background: Background) -> None:
    assert background.find() is None
    background.start(SLEEP, os.environ, port=1234)
    found = background.find()
    assert found is not None
    assert os.getsid(found.pid) == found.pid
    assert background.running_port() == 1234


def test_stops_children_too(background: Background) -> None:
    background.start(FAMILY, os.environ)
    parent = background.find()
    assert parent is not None
    while not (children := parent.children()):
        pass
    assert stop_all([background]) == ["sleeper"]
    _, alive = psutil.wait_procs([parent, *children], timeout=10)  # until all are collected
    assert not alive
    assert not background.pid_file.exists()


def test_kills_what_ignores_sigterm(
    background: Background, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("include.local_airflow.processes.GRACE", 0.5)
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); print(1); time.sleep(300)"
    background.start([sys.executable, "-u", "-c", code], os.environ)
    while not background.log.read_text():
        pass
    process = background.find()
    assert process is not None
    stop_all([background])
    assert not process.is_running()


def test_stopping_nothing_stops_nothing(background: Background) -> None:
    assert stop_all([background]) == []


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 4194304, "started": 0, "port": 0}'])
def test_removes_a_stale_pid_file(background: Background, text: str) -> None:
    background.pid_file.parent.mkdir(parents=True)
    background.pid_file.write_text(text)
    assert background.find() is None
    assert not background.pid_file.exists()


def test_never_touches_an_unrelated_process_with_a_reused_pid(background: Background) -> None:
    other = psutil.Popen(SLEEP)
    try:
        note = {"pid": other.pid, "started": other.create_time() - 3600, "port": 0}
        background.pid_file.parent.mkdir(parents=True)
        background.pid_file.write_text(json.dumps(note))
        assert stop_all([background]) == []
        assert other.is_running()
    finally:
        other.kill()
        other.wait()


def test_names_the_port_that_is_taken(listener: Callable[[], int]) -> None:
    port = listener()
    with pytest.raises(LaunchError, match=f"Port {port} is in use .* make start PORT={port + 1}"):
        require_free_port(port, "PORT", "start")


def test_a_free_port_is_fine(free_port: int) -> None:
    require_free_port(free_port, "PORT", "start")

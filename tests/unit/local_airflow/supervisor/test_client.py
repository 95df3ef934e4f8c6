"""Real processes under a real supervisord."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from include.local_airflow.supervisor.client import Watcher, last_lines
from include.local_airflow.supervisor.configuration import Program
from include.local_airflow.supervisor.locks_and_ports import lives
from tests.unit.local_airflow.conftest import needs_another_user

pytestmark = pytest.mark.slow

SLEEP = ["sleep", "300"]
SLOW = ["sh", "-c", "trap 'sleep 2; exit' TERM; echo 1; while sleep 0.1; do :; done"]
STUBBORN = "import signal, time; signal.signal(15, signal.SIG_IGN); print(1); time.sleep(300)"
PATIENCE = 30  # seconds


def watcher_in(root: Path) -> Watcher:
    home = root / ".airflow"
    home.mkdir(parents=True)
    return Watcher("airflow", root, home)


@pytest.fixture
def watcher(tmp_path: Path) -> Iterator[Watcher]:
    """In a folder whose name has all that a shell and supervisord stumble over."""
    watcher = watcher_in(tmp_path / "100 % 'mine' #2 ;")
    yield watcher
    watcher.end()


def begin(watcher: Watcher, **commands: list[str]) -> None:
    programs = [Program(name, command) for name, command in commands.items()]
    watcher.begin(programs, os.environ)
    watcher.start(*commands)


def eventually(look: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not look():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def process(watcher: Watcher, name: str = "sleeper") -> psutil.Process:
    return psutil.Process(watcher.states()[name].pid)


def test_killed_program_is_restarted_and_counted(watcher: Watcher) -> None:
    begin(watcher, sleeper=SLEEP, other=SLEEP)
    first, other = process(watcher), process(watcher, "other")

    first.kill()

    eventually(lambda: watcher.states()["sleeper"].restarts == 1)
    eventually(lambda: watcher.states()["sleeper"].lives)
    assert process(watcher) != first
    assert process(watcher, "other") == other
    assert watcher.states()["other"].restarts == 0


def test_failing_program_is_restarted_after_growing_waits(watcher: Watcher) -> None:
    begin(watcher, broken=[sys.executable, "-c", "print('no such luck'); raise SystemExit(3)"])
    eventually(lambda: watcher.states()["broken"].restarts == 3)

    stamps = [
        datetime.strptime(line[:23], "%Y-%m-%d %H:%M:%S,%f")
        for line in watcher.log("watcher").read_text().splitlines()
        if " spawned: 'broken'" in line
    ]
    waits = [(after - before).total_seconds() for before, after in pairwise(stamps)]
    assert waits[0] < waits[1] < waits[2]
    assert last_lines(watcher.log("broken"), 1) == "no such luck"


def test_shutdown_leaves_no_process_running(watcher: Watcher) -> None:
    family = [sys.executable, "-c", f"import subprocess; subprocess.run({SLEEP!r})"]
    begin(watcher, family=family, stubborn=[sys.executable, "-u", "-c", STUBBORN])
    parent = process(watcher, "family")
    eventually(lambda: bool(parent.children()) and bool(last_lines(watcher.log("stubborn"))))
    processes = [parent, *parent.children(), process(watcher, "stubborn")]

    assert sorted(watcher.end()) == ["family", "stubborn"]

    assert not any(lives(each) for each in processes)
    assert watcher.states() == {}
    assert watcher.end() == []


def test_shutdown_waits_for_a_slow_program_despite_a_clock_change(watcher: Watcher) -> None:
    begin(watcher, slow=SLOW)
    slow = process(watcher, "slow")
    eventually(lambda: bool(last_lines(watcher.log("slow"))))
    os.utime(watcher.home / "airflow.pid", (0, 0))
    watcher.end()
    assert not lives(slow)


def test_shutdown_stops_the_database_last(watcher: Watcher) -> None:
    """What ends at SIGINT only is told to when the others are gone."""
    database = Program("database", SLEEP, ends_last=True)
    watcher.begin([database, Program("client", SLEEP)], os.environ)
    watcher.start("database", "client")

    watcher.end()

    stopped = [
        line for line in watcher.log("watcher").read_text().splitlines() if "stopped" in line
    ]
    assert [line.split("stopped: ")[1].split()[0] for line in stopped] == ["client", "database"]
    assert "(terminated by SIGINT)" in stopped[1]


def test_launch_ends_processes_left_by_a_killed_supervisord(watcher: Watcher) -> None:
    apart = f"import subprocess; subprocess.run({SLEEP!r}, start_new_session=True)"
    begin(watcher, sleeper=SLEEP, apart=[sys.executable, "-c", apart])
    parent = process(watcher, "apart")
    eventually(lambda: bool(parent.children()))
    left = [process(watcher), parent, *parent.children()]
    assert not watcher.left_behind()
    leader = process(watcher).parent()
    assert leader
    leader.kill()
    eventually(lambda: not watcher.lives())
    assert watcher.left_behind()

    begin(watcher, sleeper=SLEEP)

    assert not any(lives(each) for each in left)
    assert not watcher.left_behind()
    assert watcher.states()["sleeper"].lives


def test_shutdown_ignores_an_unrelated_process_with_a_reused_pid(watcher: Watcher) -> None:
    other = subprocess.Popen(SLEEP, start_new_session=True)
    try:
        (watcher.home / "airflow.pid").write_text(str(other.pid))
        assert watcher.end() == []
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


@pytest.mark.parametrize("text", ["", "{", "4194304"])
def test_stale_pid_file_is_ignored(watcher: Watcher, text: str) -> None:
    (watcher.home / "airflow.pid").write_text(text)
    assert not watcher.left_behind()
    assert watcher.end() == []


def test_supervisord_ends_with_its_last_program(watcher: Watcher) -> None:
    begin(watcher, one=SLEEP, two=SLEEP)
    watcher.stop("one")
    assert watcher.lives()
    watcher.stop("two")
    assert not watcher.lives()


@needs_another_user
def test_processes_of_another_user_raise_a_launch_error() -> None:
    root = Path("/tmp", f"of-root-{os.getpid()}")
    watcher = watcher_in(root)
    ask = "from pathlib import Path; from include.local_airflow.supervisor.client import Watcher; "
    ask += f"Watcher('airflow', Path('{root}'), Path('{watcher.home}')).lives()"
    other = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    try:
        begin(watcher, sleeper=SLEEP)
        asked = subprocess.run([*other, sys.executable, "-c", ask], capture_output=True, text=True)
    finally:
        watcher.end()
        shutil.rmtree(root)
    assert "LaunchError: Another user has started what runs in this checkout" in asked.stderr

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

from include.local_airflow.supervisor.client import Supervisor, last_lines
from include.local_airflow.supervisor.configuration import Program
from include.local_airflow.supervisor.locks_and_ports import is_alive
from tests.unit.local_airflow.conftest import needs_another_user

pytestmark = pytest.mark.slow

SLEEP = ["sleep", "300"]
SLOW = ["sh", "-c", "trap 'sleep 2; exit' TERM; echo 1; while sleep 0.1; do :; done"]
STUBBORN = "import signal, time; signal.signal(15, signal.SIG_IGN); print(1); time.sleep(300)"
WAIT_TIMEOUT = 30  # seconds


def supervisor_in(root: Path) -> Supervisor:
    home = root / ".airflow"
    home.mkdir(parents=True)
    return Supervisor("airflow", root, home)


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    """Yield a supervisor in a folder with special characters of shells and supervisord."""
    supervisor = supervisor_in(tmp_path / "100 % 'mine' #2 ;")
    yield supervisor
    supervisor.shut_down()


def launch(supervisor: Supervisor, **commands: list[str]) -> None:
    programs = [Program(name, command) for name, command in commands.items()]
    supervisor.launch(programs, os.environ)
    supervisor.start(*commands)


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_TIMEOUT
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def process(supervisor: Supervisor, name: str = "sleeper") -> psutil.Process:
    return psutil.Process(supervisor.states()[name].pid)


def test_killed_program_is_restarted_and_counted(supervisor: Supervisor) -> None:
    launch(supervisor, sleeper=SLEEP, other=SLEEP)
    first, other = process(supervisor), process(supervisor, "other")

    first.kill()

    eventually(lambda: supervisor.states()["sleeper"].restarts == 1)
    eventually(lambda: supervisor.states()["sleeper"].is_running)
    assert process(supervisor) != first
    assert process(supervisor, "other") == other
    assert supervisor.states()["other"].restarts == 0


def test_failing_program_is_restarted_after_growing_waits(supervisor: Supervisor) -> None:
    launch(supervisor, broken=[sys.executable, "-c", "print('no such table'); raise SystemExit(3)"])
    eventually(lambda: supervisor.states()["broken"].restarts == 3)

    stamps = [
        datetime.strptime(line[:23], "%Y-%m-%d %H:%M:%S,%f")
        for line in supervisor.log("supervisord").read_text().splitlines()
        if " spawned: 'broken'" in line
    ]
    waits = [(after - before).total_seconds() for before, after in pairwise(stamps)]
    assert waits[0] < waits[1] < waits[2]
    assert last_lines(supervisor.log("broken"), 1) == "no such table"


def test_shutdown_leaves_no_process_running(supervisor: Supervisor) -> None:
    family = [sys.executable, "-c", f"import subprocess; subprocess.run({SLEEP!r})"]
    launch(supervisor, family=family, stubborn=[sys.executable, "-u", "-c", STUBBORN])
    parent = process(supervisor, "family")
    eventually(lambda: bool(parent.children()) and bool(last_lines(supervisor.log("stubborn"))))
    processes = [parent, *parent.children(), process(supervisor, "stubborn")]

    assert sorted(supervisor.shut_down()) == ["family", "stubborn"]

    assert not any(is_alive(each) for each in processes)
    assert supervisor.states() == {}
    assert supervisor.shut_down() == []


def test_shutdown_waits_for_a_slow_program_despite_a_clock_change(supervisor: Supervisor) -> None:
    launch(supervisor, slow=SLOW)
    slow = process(supervisor, "slow")
    eventually(lambda: bool(last_lines(supervisor.log("slow"))))
    os.utime(supervisor.home / "airflow.pid", (0, 0))
    supervisor.shut_down()
    assert not is_alive(slow)


def test_shutdown_stops_the_database_last(supervisor: Supervisor) -> None:
    """A program with ``ends_last`` gets SIGINT after all others have ended."""
    database = Program("database", SLEEP, ends_last=True)
    supervisor.launch([database, Program("client", SLEEP)], os.environ)
    supervisor.start("database", "client")

    supervisor.shut_down()

    stopped = [
        line for line in supervisor.log("supervisord").read_text().splitlines() if "stopped" in line
    ]
    assert [line.split("stopped: ")[1].split()[0] for line in stopped] == ["client", "database"]
    assert "(terminated by SIGINT)" in stopped[1]


def test_launch_ends_processes_left_by_a_killed_supervisord(supervisor: Supervisor) -> None:
    apart = f"import subprocess; subprocess.run({SLEEP!r}, start_new_session=True)"
    launch(supervisor, sleeper=SLEEP, apart=[sys.executable, "-c", apart])
    parent = process(supervisor, "apart")
    eventually(lambda: bool(parent.children()))
    left = [process(supervisor), parent, *parent.children()]
    assert not supervisor.has_orphans()
    leader = process(supervisor).parent()
    assert leader
    leader.kill()
    eventually(lambda: not supervisor.is_running())
    assert supervisor.has_orphans()

    launch(supervisor, sleeper=SLEEP)

    assert not any(is_alive(each) for each in left)
    assert not supervisor.has_orphans()
    assert supervisor.states()["sleeper"].is_running


def test_shutdown_ignores_an_unrelated_process_with_a_reused_pid(supervisor: Supervisor) -> None:
    other = subprocess.Popen(SLEEP, start_new_session=True)
    try:
        (supervisor.home / "airflow.pid").write_text(str(other.pid))
        assert supervisor.shut_down() == []
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


@pytest.mark.parametrize("text", ["", "{", "4194304"])
def test_stale_pid_file_is_ignored(supervisor: Supervisor, text: str) -> None:
    (supervisor.home / "airflow.pid").write_text(text)
    assert not supervisor.has_orphans()
    assert supervisor.shut_down() == []


def test_supervisord_ends_with_its_last_program(supervisor: Supervisor) -> None:
    launch(supervisor, one=SLEEP, two=SLEEP)
    supervisor.stop("one")
    assert supervisor.is_running()
    supervisor.stop("two")
    assert not supervisor.is_running()


@needs_another_user
def test_processes_of_another_user_raise_a_launch_error() -> None:
    root = Path("/tmp", f"of-root-{os.getpid()}")
    supervisor = supervisor_in(root)
    ask = (
        "from pathlib import Path; from include.local_airflow.supervisor.client import Supervisor; "
    )
    ask += f"Supervisor('airflow', Path('{root}'), Path('{supervisor.home}')).is_running()"
    other = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    try:
        launch(supervisor, sleeper=SLEEP)
        other_run = subprocess.run(
            [*other, sys.executable, "-c", ask], capture_output=True, text=True
        )
    finally:
        supervisor.shut_down()
        shutil.rmtree(root)
    assert "LaunchError: The processes of this checkout belong to another user" in other_run.stderr

"""Background processes under supervisord, which starts again what dies, with growing waits.

Each watcher has a name, and files of that name in Airflow's home: what it runs (`NAME.conf`), its
process (`NAME.pid`) and its socket. It speaks XML-RPC: http://supervisord.org/api.html
"""

from __future__ import annotations

import configparser
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any
from xmlrpc.client import Fault, ServerProxy

import psutil
from supervisor.xmlrpc import SupervisorTransport

from include.local_airflow.errors import LaunchError
from include.local_airflow.supervisor.configuration import GRACE, VARIABLES, Program, configuration
from include.local_airflow.supervisor.locks_and_ports import end_all, lives, wait

PATIENCE = 20.0  # seconds until the watcher itself has to answer


@dataclass(frozen=True)
class State:
    """What supervisord says of one process."""

    name: str
    state: str
    """supervisord's word: STOPPED, STARTING, RUNNING, BACKOFF, STOPPING, EXITED, FATAL."""
    pid: int
    since: float
    """Seconds since it was started, or since it ended."""
    restarts: int

    @property
    def lives(self) -> bool:
        return self.state in ("STARTING", "RUNNING", "STOPPING")

    @property
    def died(self) -> bool:
        """It ended by itself, whether it will be started again or not."""
        return self.state in ("BACKOFF", "EXITED", "FATAL")


@dataclass(frozen=True)
class Watcher:
    """One supervisord; `name` says what it watches."""

    name: str
    root: Path
    home: Path

    def begin(self, programs: Iterable[Program], environment: Mapping[str, str]) -> None:
        """Start the watcher; its programs inherit `environment` and wait for `start`.

        Raises:
            LaunchError: it ended, or did not answer.
        """
        self.end()  # what a killed watcher has left
        log = self.log("watcher")
        log.parent.mkdir(parents=True, exist_ok=True)
        self._file.write_text(self._configuration(programs))
        log.unlink(missing_ok=True)
        with log.open("a") as output:  # supervisord writes into the same file
            process = subprocess.Popen(
                [sys.executable, "-m", "supervisor.supervisord", "-c", str(self._file)],
                cwd=self.root,
                env=dict(environment) | VARIABLES,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + PATIENCE
        while not self.lives():
            if process.poll() is not None or time.monotonic() > deadline:
                raise LaunchError(
                    f"The watcher of the processes did not start. The end of "
                    f"{os.path.relpath(log, self.root)}:\n{last_lines(log)}"
                )
            time.sleep(0.02)

    def lives(self) -> bool:
        """Tell whether the watcher answers.

        Raises:
            LaunchError: another user has begun it.
        """
        if not self._file.exists():
            return False
        try:
            return bool(self._call("getState")["statename"] == "RUNNING")
        except PermissionError as error:
            raise LaunchError(
                "Another user has started what runs in this checkout: run the command as that user."
            ) from error
        except (OSError, HTTPException):
            return False

    def runs(self, programs: Iterable[Program]) -> bool:
        """Tell whether it was begun for just these programs."""
        return self._file.read_text() == self._configuration(programs)

    def environment(self) -> dict[str, str]:
        """Return the variables with which the running watcher was begun; its programs have them."""
        leader = self._leader()
        return psutil.Process(leader).environ() if leader and self.lives() else {}

    def start(self, *names: str) -> None:
        """Start the programs that do not run."""
        full_names = self._full_names
        for name in names:
            with suppress(Fault):  # it was started by itself meanwhile
                self._call("startProcess", full_names[name], False)

    def stop(self, name: str) -> None:
        """End one program, and the watcher with the last one."""
        with suppress(Fault, OSError, HTTPException):  # it has ended already
            self._call("stopProcess", self._full_names[name])
        if not any(each.lives or each.died for each in self.states().values()):
            self.end()

    def states(self) -> dict[str, State]:
        """Return what supervisord says of each program; nothing if it does not run."""
        if not self.lives():
            return {}
        spawned = re.findall(r" spawned: '(\S+)'", self.log("watcher").read_text())
        try:
            processes = self._call("getAllProcessInfo")
        except Fault:  # it ends
            return {}
        return {
            each["name"]: State(
                name=each["name"],
                state=each["statename"],
                pid=each["pid"],
                since=each["now"] - (each["start"] if each["pid"] else each["stop"]),
                restarts=max(0, spawned.count(each["name"]) - 1),
            )
            for each in processes
        }

    def url(self, name: str) -> str:
        """Return where the program answers, as it was begun; nothing if it is not known.

        The watcher itself answers at a socket.
        """
        configuration = configparser.RawConfigParser()
        configuration.read(self._file)
        return configuration.get("urls", name, fallback="")

    def log(self, program: str) -> Path:
        """Return the log of a program, or of the watcher itself."""
        name = f"{self.name}-{program}" if program == "watcher" else program
        return self.home / "logs" / f"{name}.log"

    def end(self) -> list[str]:
        """End all programs, then the watcher; return the names of the programs that ran.

        What a killed watcher has left behind is ended too.
        """
        names = [each.name for each in self.states().values() if each.lives or each.died]
        leader = self._leader()
        if self.lives():
            with suppress(OSError, HTTPException, Fault):
                self._call("shutdown")
            wait(_session(leader), 2 * GRACE + 5)
        if left := _session(leader):
            names = names or [f"what a killed watcher of {self.name} had left"]
            end_all(left, GRACE)
        self._pid_file.unlink(missing_ok=True)
        return names

    def left_behind(self) -> bool:
        """Tell whether the watcher was killed and something that it started still runs."""
        return not self.lives() and bool(_session(self._leader()))

    def _leader(self) -> int | None:
        """Return the pid of the watcher, alive or not, unless it is somebody else's by now."""
        with suppress(OSError, ValueError):
            pid = int(self._pid_file.read_text())
            if command := _command(pid):
                return pid if str(self._file) in command else None
            if self._pid_file.stat().st_mtime >= psutil.boot_time():
                return pid
        return None

    def _configuration(self, programs: Iterable[Program]) -> str:
        return configuration(self.name, self.root, self.home, programs)

    @property
    def _file(self) -> Path:
        return self.home / f"{self.name}.conf"

    @property
    def _pid_file(self) -> Path:
        return self.home / f"{self.name}.pid"

    @property
    def _full_names(self) -> dict[str, str]:
        infos = self._call("getAllProcessInfo")
        return {each["name"]: f"{each['group']}:{each['name']}" for each in infos}

    def _call(self, method: str, *arguments: str | bool) -> Any:
        """Call supervisord over its socket."""
        transport = SupervisorTransport(serverurl=f"unix://{self.url('watcher')}")
        with ServerProxy("http://localhost", transport=transport) as proxy:
            return getattr(proxy.supervisor, method)(*arguments)


def last_lines(log: Path, count: int = 15) -> str:
    """Return the end of a log."""
    if not log.exists():
        return ""
    return "\n".join(log.read_text(errors="replace").splitlines()[-count:])


def _command(pid: int) -> list[str]:
    """Return the command line of a process; nothing if it has ended."""
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        for _ in range(100):  # for a moment of its beginning and its end it has none
            if not lives(process):
                return []
            if command := process.cmdline():
                return command
            time.sleep(0.01)
        return ["a thread of the kernel"]
    return []


def _session(leader: int | None) -> list[psutil.Process]:
    """Return what lives of a session, with the children that have sessions of their own."""
    found: set[psutil.Process] = set()
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if os.getsid(process.pid) == leader and lives(process):
                found |= {process, *process.children(recursive=True)}
    return list(found)

"""Background processes under supervisord, which restarts crashed processes with growing delays.

Each supervisor has a name, and files of that name in Airflow's home: its configuration
(``NAME.conf``), its pid (``NAME.pid``) and its socket. XML-RPC: http://supervisord.org/api.html
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
from include.local_airflow.supervisor.locks_and_ports import end_all, is_alive, wait

SUPERVISORD_TIMEOUT = 20.0  # seconds until supervisord itself has to respond


@dataclass(frozen=True)
class State:
    """The state of one process, as supervisord reports it."""

    name: str
    state: str
    """supervisord's state: STOPPED, STARTING, RUNNING, BACKOFF, STOPPING, EXITED, FATAL."""
    pid: int
    since: float
    """Seconds since the process started or ended."""
    restarts: int

    @property
    def is_running(self) -> bool:
        return self.state in ("STARTING", "RUNNING", "STOPPING")

    @property
    def crashed(self) -> bool:
        """True if the process ended by itself, whether or not supervisord restarts it."""
        return self.state in ("BACKOFF", "EXITED", "FATAL")


@dataclass(frozen=True)
class Supervisor:
    """One supervisord; ``name`` is the group of processes that it supervises."""

    name: str
    root: Path
    home: Path

    def launch(self, programs: Iterable[Program], environment: Mapping[str, str]) -> None:
        """Start supervisord; its programs inherit ``environment`` and wait for ``start``.

        Raises:
            LaunchError: supervisord ended or did not respond.
        """
        self.shut_down()  # the orphans of a killed supervisord
        log = self.log("supervisord")
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
        deadline = time.monotonic() + SUPERVISORD_TIMEOUT
        while not self.is_running():
            if process.poll() is not None or time.monotonic() > deadline:
                raise LaunchError(
                    "supervisord did not start. The end of "
                    f"{os.path.relpath(log, self.root)}:\n{last_lines(log)}"
                )
            time.sleep(0.02)

    def is_running(self) -> bool:
        """Return whether supervisord responds.

        Raises:
            LaunchError: supervisord belongs to another user.
        """
        if not self._file.exists():
            return False
        try:
            return bool(self._call("getState")["statename"] == "RUNNING")
        except PermissionError as error:
            raise LaunchError(
                "The processes of this checkout belong to another user: run the command as that "
                "user."
            ) from error
        except (OSError, HTTPException):
            return False

    def matches(self, programs: Iterable[Program]) -> bool:
        """Return whether supervisord was launched with exactly these programs."""
        return self._file.read_text() == self._configuration(programs)

    def environment(self) -> dict[str, str]:
        """Return the environment of the running supervisord, which its programs inherit."""
        leader = self._leader()
        return psutil.Process(leader).environ() if leader and self.is_running() else {}

    def start(self, *names: str) -> None:
        """Start the programs that are not running."""
        full_names = self._full_names
        for name in names:
            with suppress(Fault):  # supervisord has restarted it in the meantime
                self._call("startProcess", full_names[name], False)

    def stop(self, name: str) -> None:
        """Stop one program, and supervisord after the last one."""
        with suppress(Fault, OSError, HTTPException):  # the program has ended already
            self._call("stopProcess", self._full_names[name])
        if not any(each.is_running or each.crashed for each in self.states().values()):
            self.shut_down()

    def states(self) -> dict[str, State]:
        """Return the state of each program; nothing if supervisord is not running."""
        if not self.is_running():
            return {}
        spawned = re.findall(r" spawned: '(\S+)'", self.log("supervisord").read_text())
        try:
            processes = self._call("getAllProcessInfo")
        except Fault:  # supervisord is shutting down
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
        """Return the program's URL at launch, supervisord's socket, or nothing if unknown."""
        configuration = configparser.RawConfigParser()
        configuration.read(self._file)
        return configuration.get("urls", name, fallback="")

    def log(self, program: str) -> Path:
        """Return the log of a program, or of supervisord itself."""
        name = f"{self.name}-{program}" if program == "supervisord" else program
        return self.home / "logs" / f"{name}.log"

    def shut_down(self) -> list[str]:
        """Stop all programs, then supervisord; return the names of the programs that ran.

        The orphans of a killed supervisord are ended too.
        """
        names = [each.name for each in self.states().values() if each.is_running or each.crashed]
        leader = self._leader()
        if self.is_running():
            with suppress(OSError, HTTPException, Fault):
                self._call("shutdown")
            wait(_session(leader), 2 * GRACE + 5)
        if left := _session(leader):
            names = names or [f"the orphans of the {self.name} supervisor"]
            end_all(left, GRACE)
        self._pid_file.unlink(missing_ok=True)
        return names

    def has_orphans(self) -> bool:
        """Return whether supervisord was killed and left running processes."""
        return not self.is_running() and bool(_session(self._leader()))

    def _leader(self) -> int | None:
        """Return supervisord's pid, alive or not, unless another process now has that pid."""
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
        transport = SupervisorTransport(serverurl=f"unix://{self.url('supervisord')}")
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
        for _ in range(100):  # a starting or ending process has none for a moment
            if not is_alive(process):
                return []
            if command := process.cmdline():
                return command
            time.sleep(0.01)
        return ["kernel thread"]
    return []


def _session(leader: int | None) -> list[psutil.Process]:
    """Return a session's live processes, with children that have sessions of their own."""
    found: set[psutil.Process] = set()
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if os.getsid(process.pid) == leader and is_alive(process):
                found |= {process, *process.children(recursive=True)}
    return list(found)

"""supervisord's configuration file, with the processes to keep alive."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from include.local_airflow.supervisor.sockets import socket_folder

GRACE = 10  # seconds between SIGTERM and SIGKILL
VARIABLES = {"HASH": "#", "SEMICOLON": ";"}  # the file refers to both characters by name
HEADER = """\
[unix_http_server]
file = {socket}
chmod = 0700

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

[supervisord]
nodaemon = true
silent = true
logfile = {logs}/{name}-supervisord.log
logfile_maxbytes = 10MB
logfile_backups = 0
pidfile = {home}/{name}.pid
"""
# A process that ends within `startsecs` is restarted after 1, 2, 3 ... seconds; one that ends later
# is restarted at once.
PROGRAM = """
[program:{name}]
command = {command}
autostart = false
autorestart = true
startsecs = 20
startretries = 1000000
stopsignal = {stop_signal}
stopasgroup = {stop_group}
killasgroup = true
stopwaitsecs = {grace}
redirect_stderr = true
stdout_logfile = {logs}/{name}.log
stdout_logfile_maxbytes = 10MB
stdout_logfile_backups = 1
"""


@dataclass(frozen=True)
class Program:
    """One process to keep alive."""

    name: str
    command: Sequence[str]
    url: str = ""
    """Its address, for a server."""
    ends_last: bool = False
    """Stopped by SIGINT after all others, for a database."""


def configuration(name: str, root: Path, home: Path, programs: Iterable[Program]) -> str:
    """Return the configuration of a supervisord in ``root``, with the URLs of its programs."""
    programs = list(programs)
    relative = Path(os.path.relpath(home, root))
    logs = relative / "logs"
    socket = socket_folder(home) / f"{name}.sock"
    text = HEADER.format(name=name, home=relative, logs=logs, socket=_escaped(socket))
    for each in programs:
        text += PROGRAM.format(
            name=each.name,
            command=_escaped(shlex.join(each.command)),
            stop_signal="INT" if each.ends_last else "TERM",
            stop_group=str(not each.ends_last).lower(),
            grace=GRACE,
            logs=logs,
        )
    # supervisord stops one group after the other, from the highest priority down.
    first = ",".join(each.name for each in programs if not each.ends_last)
    text += f"\n[group:{name}]\nprograms = {first}\npriority = 1000\n"
    urls = "\n".join(f"{each.name} = {each.url}" for each in programs if each.url)
    return f"{text}\n[urls]\nsupervisord = {socket}\n{urls}\n"


def _escaped(text: object) -> str:
    """Escape ``%``, which starts a variable, and ``#`` and ``;``, which start a comment."""
    text = str(text).replace("%", "%%")
    return text.replace("#", "%(ENV_HASH)s").replace(";", "%(ENV_SEMICOLON)s")

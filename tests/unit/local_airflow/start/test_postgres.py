"""The embedded PostgreSQL, as the current user and as another user."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import psutil
import psycopg
import pytest

from include.local_airflow.errors import LaunchError
from include.local_airflow.settings.metadata_database import DRIVER, given_database, public_name
from include.local_airflow.start import postgres
from include.local_airflow.supervisor.client import Supervisor
from include.local_airflow.supervisor.sockets import remove_socket_folder
from tests.unit.local_airflow.conftest import needs_another_user

ROOT = Path(__file__).parents[4]
MEGABYTE = 2**20
# Run by a process of another user or with other limits.
SERVE = """
import subprocess, sys
from pathlib import Path
from include.local_airflow.start import postgres
from include.local_airflow.errors import LaunchError
home = Path(sys.argv[1])
try:
    postgres.make_data(home)
    server = subprocess.Popen(postgres.program(home).command)
    postgres.wait_until_ready(postgres.database(home), lambda: server.poll() and "it ended")
    server.terminate()
    server.wait()
    print("served")
except LaunchError as error:
    print(error)
"""


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    home = tmp_path / ("a long way down " * 7) / ".airflow"
    home.mkdir(parents=True)
    yield home
    remove_socket_folder(home)


@pytest.fixture
def running(home: Path) -> Iterator[Supervisor]:
    supervisor = Supervisor("airflow", home.parent, home)
    postgres.make_data(home)
    supervisor.launch([postgres.program(home)], os.environ)
    supervisor.start(postgres.NAME)
    postgres.wait_until_ready(postgres.database(home), lambda: None)
    yield supervisor
    supervisor.shut_down()


def query(home: Path, sql: str) -> list[tuple[object, ...]]:
    with psycopg.connect(postgres.database(home).url.replace(DRIVER, "postgresql")) as connection:
        return connection.execute(sql).fetchall()


def test_postgres_keeps_its_data_after_a_kill(home: Path, running: Supervisor) -> None:
    query(home, "select lo_create(4711)")  # a large object, which a query can create
    server = psutil.Process(running.states()[postgres.NAME].pid)

    server.kill()
    server.wait(10)

    postgres.wait_until_ready(postgres.database(home), lambda: None)
    assert query(home, "select oid from pg_largeobject_metadata") == [(4711,)]
    assert running.states()[postgres.NAME].restarts >= 1


def test_postgres_listens_only_on_a_private_socket(home: Path, running: Supervisor) -> None:
    server = psutil.Process(running.states()[postgres.NAME].pid)
    assert server.net_connections("inet") == []
    [(folder, mode)] = query(
        home,
        "select current_setting('unix_socket_directories'),"
        " current_setting('unix_socket_permissions')",
    )
    assert mode == "0700"
    assert Path(str(folder), ".s.PGSQL.5432").stat().st_mode & 0o777 == 0o700


def test_make_data_recovers_from_an_interrupted_initdb(home: Path) -> None:
    (home / "postgres" / "unfinished").mkdir(parents=True)
    (home / "postgres" / "unfinished" / "PG_VERSION").write_text("16")
    postgres.make_data(home)
    assert (home / "postgres" / "data" / "postgresql.conf").exists()


def test_make_data_rejects_data_of_another_major_version(home: Path) -> None:
    (home / "postgres" / "data").mkdir(parents=True)
    (home / "postgres" / "data" / "PG_VERSION").write_text("9.6\n")
    with pytest.raises(
        LaunchError, match=r"belongs to PostgreSQL 9\.6, but \d+ is installed: run make"
    ):
        postgres.make_data(home)


def serve(home: Path, *prefix: str, limit: Callable[[], None] | None = None) -> str:
    command = [*prefix, sys.executable, "-c", SERVE, str(home)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, preexec_fn=limit)
    return done.stdout.strip() or done.stderr


def test_make_data_reports_a_failed_write_and_leaves_no_data(home: Path) -> None:
    small = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (MEGABYTE, MEGABYTE))
    printed = serve(home, limit=small)
    assert printed.startswith("PostgreSQL could not create .airflow/postgres (")
    assert "DATABASE_URL=postgresql://" in printed
    assert not (home / "postgres" / "data").exists()


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@needs_another_user
@pytest.mark.parametrize(
    "user", [postgres.OTHER_USER, 12345], ids=["named user", "user without a name"]
)
def test_postgres_runs_as_another_user(user: int) -> None:
    home = Path("/tmp", f"of-another-user-{os.getpid()}")
    home.mkdir()
    os.chown(home, user, user)
    try:
        other = ("setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups")
        assert serve(home, *other) == "served"
    finally:
        subprocess.run(["rm", "-r", home], check=True)


@needs_another_user
def test_postgres_runs_as_root_without_user_namespaces(
    home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Many containers have none; the parent folders are closed to other users."""
    home.parent.chmod(0o700)
    refusing = tmp_path / "unshare"
    refusing.write_text("#!/bin/sh\nexit 1\n")
    refusing.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    assert serve(home) == "served"

    assert home.parent.stat().st_mode & 0o777 == 0o700
    assert (home / "postgres" / "data").stat().st_uid == postgres.OTHER_USER


@needs_root
def test_postgres_reports_that_it_cannot_run_as_root(
    home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "PostgreSQL runs neither as root" in serve(home)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", DRIVER])
def test_given_database_uses_the_installed_driver(scheme: str) -> None:
    database = given_database(f"{scheme}://me:secret@db.example:5433/meta")
    assert database.url == f"{DRIVER}://me:secret@db.example:5433/meta"
    assert set(database.environment().values()) == {database.url}
    assert public_name(database) == "db.example:5433/meta"


@pytest.mark.parametrize("url", ["sqlite:///a.db", "postgresql://host", "postgresql://", "host/db"])
def test_given_database_rejects_an_invalid_url(url: str) -> None:
    with pytest.raises(LaunchError, match="DATABASE_URL is not the URL of a PostgreSQL database"):
        given_database(url)

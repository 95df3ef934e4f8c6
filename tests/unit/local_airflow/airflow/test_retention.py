from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.unit.local_airflow.conftest import Checkout

pytestmark = pytest.mark.slow

# Two events in Airflow's audit log, then three calls, the second within a day.
CLEAN = """
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from airflow.models.log import Log
from airflow.utils.session import create_session
from sqlalchemy import select
from include.local_airflow.airflow.retention import remove_old

now = datetime.now(UTC)
home = Path(sys.argv[1])

def add(days):
    with create_session() as session:
        event = Log(event=f"{days} days ago")
        event.dttm = now - timedelta(days=days)
        session.add(event)

def left():
    with create_session() as session:
        return list(session.scalars(select(Log.event).order_by(Log.dttm)))

add(31)
add(28)
remove_old(home, now)
print(left())
add(32)
remove_old(home, now + timedelta(hours=23))
print(left())
remove_old(home, now + timedelta(hours=25))
print(left())
"""


def test_remove_old_keeps_recent_metadata_and_works_once_a_day(checkout: Checkout) -> None:
    script = (
        "import subprocess, sys\n"
        "from include.local_airflow.settings.environment import airflow_environment\n"
        "from include.local_airflow.settings.launch import Launch\n"
        "from include.local_airflow.settings.metadata_database import sqlite_database\n"
        "launch = Launch.read()\n"
        "environment = airflow_environment(launch, sqlite_database(launch.home))\n"
        "command = [sys.executable, '-c', sys.argv[1], str(launch.home)]\n"
        "subprocess.run(command, env=environment, check=True)\n"
    )
    result = checkout.run("-c", script, CLEAN)
    assert result.returncode == 0, result.stderr
    assert [line for line in result.stdout.splitlines() if line.startswith("[")] == [
        "['28 days ago']",
        "['32 days ago', '28 days ago']",
        "['28 days ago']",
    ]


def test_remove_old_files_keeps_recent_logs(tmp_path: Path) -> None:
    from include.local_airflow.airflow.retention import remove_old_files

    before = datetime.now(UTC) - timedelta(days=30)
    for name, days in {"old/run/1.log": 31, "mixed/1.log": 31, "mixed/2.log": 29}.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
        seconds = (before + timedelta(days=30 - days)).timestamp()
        os.utime(file, (seconds, seconds))
    (tmp_path / "latest").symlink_to("missing")

    remove_old_files(tmp_path, before)

    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")}
    assert left == {"mixed", "mixed/2.log", "latest"}

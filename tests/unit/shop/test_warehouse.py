"""Tests of the exclusive access to the warehouse, with a message after a long wait."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Timer

import duckdb
import pytest

from include.shop.warehouse import open_warehouse, warehouse_path

HOLD_THE_LOCK = """
import sys, duckdb
connection = duckdb.connect(sys.argv[1])
print("locked", flush=True)
sys.stdin.read()  # until the test closes it
"""


@pytest.fixture(autouse=True)
def data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "data"
    monkeypatch.setenv("LOCAL_DBT_CLOUD_DATA", str(folder))
    return folder


@pytest.fixture
def lock_holder(data_folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Start a process that keeps the warehouse open until its standard input is closed."""
    data_folder.mkdir()
    command = [sys.executable, "-c", HOLD_THE_LOCK, str(warehouse_path())]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        yield process
        process.kill()


def test_path_follows_the_environment(data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert warehouse_path() == data_folder / "warehouse.duckdb"
    monkeypatch.delenv("LOCAL_DBT_CLOUD_DATA")
    assert warehouse_path().parts[-3:] == ("include", ".local", "warehouse.duckdb")


def test_open_warehouse_waits_until_another_process_releases_the_file(
    lock_holder: subprocess.Popen[str],
) -> None:
    assert lock_holder.stdin is not None
    release = Timer(0.5, lock_holder.stdin.close)
    release.start()
    with open_warehouse(wait=30) as connection:
        assert connection.execute("select 42").fetchone() == (42,)
    assert lock_holder.wait() == 0


@pytest.mark.usefixtures("lock_holder")
@pytest.mark.parametrize("read_only", [False, True])
def test_open_warehouse_times_out_while_another_process_holds_the_file(read_only: bool) -> None:
    with (
        pytest.raises(TimeoutError, match=r"Another process has kept the warehouse .* open"),
        open_warehouse(read_only=read_only, wait=0.2),
    ):
        pass


def test_open_warehouse_for_reading_raises_if_nothing_is_loaded() -> None:
    with (
        pytest.raises(FileNotFoundError, match="load some data first"),
        open_warehouse(read_only=True),
    ):
        pass


def test_open_warehouse_raises_at_once_for_an_invalid_file(data_folder: Path) -> None:
    data_folder.mkdir()
    warehouse_path().write_text("not a database, and long enough to be looked at\n" * 200)
    with pytest.raises(duckdb.IOException, match="not a valid DuckDB"), open_warehouse(wait=3600):
        pass


def test_connection_is_closed_when_the_work_fails() -> None:
    with pytest.raises(ZeroDivisionError), open_warehouse() as connection:
        _ = 1 / 0
    with pytest.raises(duckdb.ConnectionException):
        connection.execute("select 1")

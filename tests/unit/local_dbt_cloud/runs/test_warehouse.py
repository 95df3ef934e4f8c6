"""The command of the jobs file that prepares a new warehouse, and the shop's command."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from include.local_dbt_cloud.runs.warehouse import Warehouse, WarehouseError
from include.local_dbt_cloud.storage.jobs_file import read_jobs_file
from include.shop.warehouse import warehouse_path
from tests.bundled import JOBS_FILE

COUNTED = "sh -c 'echo once >> \"$0\"' {warehouse}"


def stores_in(warehouse: Path) -> int:
    with duckdb.connect(warehouse, read_only=True) as connection:
        (count,) = connection.execute("select count(*) from raw.stores").fetchone() or (0,)
    return int(count)


def test_command_of_the_shipped_file_loads_the_raw_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCAL_DBT_CLOUD_DATA", str(tmp_path / "other"))
    file = tmp_path / "a folder" / "warehouse.duckdb"

    Warehouse(file, read_jobs_file(JOBS_FILE).before_runs).prepare()

    assert stores_in(file) > 0
    assert not warehouse_path().exists()


def test_warehouse_is_prepared_once_and_again_if_its_file_is_gone(tmp_path: Path) -> None:
    file = tmp_path / "warehouse"
    warehouse = Warehouse(file, COUNTED)
    for _ in range(2):
        warehouse.prepare()
    assert file.read_text() == "once\n"

    file.unlink()
    warehouse.prepare()

    assert file.read_text() == "once\n"


def test_command_does_not_have_the_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_DBT_CLOUD_TOKEN", "secret")
    file = tmp_path / "warehouse"
    warehouse = Warehouse(file, "sh -c 'env > \"$0\"' {warehouse}")

    warehouse.prepare()

    assert "secret" not in file.read_text()


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("no-such-program {warehouse}", "no-such-program {warehouse}: No such file or directory"),
        ("sh -c 'echo because >&2; exit 3'", "failed with 3:\nbecause"),
    ],
)
def test_failed_command_is_an_error_and_runs_again(
    tmp_path: Path, command: str, message: str
) -> None:
    warehouse = Warehouse(tmp_path / "warehouse", command)
    for _ in range(2):
        with pytest.raises(WarehouseError) as raised:
            warehouse.prepare()
        assert message in str(raised.value)


def test_warehouse_without_a_command_needs_no_preparation(tmp_path: Path) -> None:
    file = tmp_path / "warehouse"
    warehouse = Warehouse(file, "")
    warehouse.prepare()
    assert not file.exists()

"""The raw data is loaded into the given warehouse; environment variables do not change it."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from include.local_dbt_cloud.runs.warehouse import ensure_raw_data
from include.shop.warehouse import warehouse_path


def stores_in(warehouse: Path) -> int:
    with duckdb.connect(warehouse, read_only=True) as connection:
        (count,) = connection.execute("select count(*) from raw.stores").fetchone() or (0,)
    return int(count)


def test_ensure_raw_data_fills_each_given_warehouse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCAL_DBT_CLOUD_DATA", str(tmp_path / "other"))

    for name in ("one", "two"):
        warehouse = tmp_path / name / "warehouse.duckdb"
        ensure_raw_data(warehouse)
        assert stores_in(warehouse) > 0

    assert not warehouse_path().exists()


def test_ensure_raw_data_refills_a_deleted_warehouse(tmp_path: Path) -> None:
    warehouse = tmp_path / "warehouse.duckdb"
    ensure_raw_data(warehouse)
    warehouse.unlink()

    ensure_raw_data(warehouse)

    assert stores_in(warehouse) > 0

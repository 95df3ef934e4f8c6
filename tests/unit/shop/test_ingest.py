"""Tests of atomic loads into the raw schema, and of their log."""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb
import pytest
from airflow.sdk import ObjectStoragePath

from include.shop import ingest
from include.shop.ingest import RAW_DATA, ingest_files, load_raw_data, load_table, loading
from include.shop.warehouse import RAW_TABLES, open_warehouse


@pytest.fixture(autouse=True)
def data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LOCAL_DBT_CLOUD_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


def raw_rows() -> dict[str, int]:
    with open_warehouse(read_only=True) as connection:
        return {table: len(connection.table(f"raw.{table}")) for table in [*RAW_TABLES, "loads"]}


def test_load_raw_data_loads_once() -> None:
    counts = load_raw_data()
    before = raw_rows()
    assert before == {**counts, "loads": len(RAW_TABLES)}
    assert counts["orders"] > 12_000
    assert load_raw_data() == {}
    assert raw_rows() == before


def test_load_raw_data_leaves_nothing_behind_when_a_file_is_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for table, columns in RAW_TABLES.items():
        (tmp_path / f"{table}.csv").write_text(",".join(columns) + "\n")
    (tmp_path / "stores.csv").write_text("store_id\nthe first one\n")  # read last
    monkeypatch.setattr(ingest, "RAW_DATA", tmp_path)
    with pytest.raises(duckdb.Error):
        load_raw_data()
    with open_warehouse() as connection:
        schemas = connection.execute("select schema_name from duckdb_schemas()").fetchall()
    assert ("raw",) not in schemas


def test_ingest_files_replaces_rows_of_the_interval_and_skips_missing_files(
    tmp_path: Path,
) -> None:
    shutil.copytree(RAW_DATA, tmp_path / "files", ignore=shutil.ignore_patterns("*.py", "pay*"))
    load_raw_data()
    before = raw_rows()
    loads = "select count(*) from raw.loads where table_name = ?"
    source = ObjectStoragePath(f"file://{tmp_path}/files")

    with open_warehouse() as warehouse:
        rows = ingest_files(warehouse, source, "2026-05-01 00:00:00+00", "2026-05-02 00:00:00+00")
        assert 0 < rows["orders"] < 300
        assert "payments" not in rows
        assert warehouse.execute(loads, ["orders"]).fetchone() == (2,)
        assert warehouse.execute(loads, ["payments"]).fetchone() == (1,)

    assert raw_rows() == before | {"loads": before["loads"] + len(RAW_TABLES) - 1}


def test_loading_rolls_back_earlier_tables_after_a_failure() -> None:
    load_raw_data()
    before = raw_rows()

    with open_warehouse() as warehouse:
        with pytest.raises(duckdb.Error, match="missing"), loading(warehouse):
            [load_table(warehouse, table, "from missing", "true") for table in ("orders", "stores")]
        (left,) = warehouse.execute("select count(*) from raw.orders").fetchone() or (None,)

    assert left == before["orders"]
    assert raw_rows() == before

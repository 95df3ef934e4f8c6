"""Brings files into the warehouse's raw schema and writes down each load: the one loader."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from include.shop.warehouse import RAW_TABLES, create_raw_tables, open_warehouse

RAW_DATA = Path(__file__).parents[1] / "raw_data"


@contextmanager
def loading(warehouse: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """One transaction with the raw tables in place: all of it happens, or nothing."""
    warehouse.begin()
    try:
        create_raw_tables(warehouse)
        yield
    except BaseException:
        warehouse.rollback()
        raise
    warehouse.commit()


def load_table(
    warehouse: duckdb.DuckDBPyConnection, table: str, rows: str, replaced: str = "false"
) -> int:
    """Put rows into a raw table and note the load, also one of no rows, in `raw.loads`.

    Args:
        warehouse: a connection that may write, in `loading`.
        table: one of RAW_TABLES.
        rows: a query for them, such as `from 'orders.parquet'`; columns go by their names.
        replaced: the condition for the rows that they replace.

    Returns:
        How many rows came.
    """
    warehouse.execute(f"delete from raw.{table} where {replaced}")
    inserted = warehouse.execute(f"insert into raw.{table} by name {rows}").fetchone()
    (count,) = inserted or (0,)
    warehouse.execute("insert into raw.loads values (?, now(), ?)", (table, count))
    return int(count)


def file_rows(source: Any, table: str) -> str:
    """Return the query for a table's file in the folder ``source``, plain or compressed."""
    types = ", ".join(f"'{name}': '{type_}'" for name, type_ in RAW_TABLES[table].items())
    return f"from read_csv('{source}/{table}.csv*', header = true, types = {{{types}}})"


def ingest_files(
    warehouse: duckdb.DuckDBPyConnection, source: Any, start: Any = None, end: Any = None
) -> dict[str, int]:
    """Replace the rows received in [start, end) by those of the files, in one transaction.

    Args:
        warehouse: a connection that may write.
        source: an ObjectStoragePath, the folder with a `<table>.csv` or `<table>.csv.gz` per table.
        start: a time, or none for all rows.
        end: the same.

    Returns:
        Rows per table. A table whose file was not delivered is left out and keeps its rows and its
        time of loading, so that dbt's source freshness sees it.
    """
    received = f"received_at >= '{start}' and received_at < '{end}'" if start else "true"
    rows: dict[str, int] = {}
    warehouse.register_filesystem(source.fs)
    with loading(warehouse):
        for table in RAW_TABLES:
            if any(source.glob(f"{table}.csv*")):
                wanted = f"{file_rows(source, table)} where {received}"
                rows[table] = load_table(warehouse, table, wanted, replaced=received)
    return rows


def load_raw_data(path: Path | None = None) -> dict[str, int]:
    """Fill the raw schema from ``include/raw_data``, unless there is one already.

    A fresh machine can so run dbt before any Dag has loaded anything. All or nothing: one
    transaction.

    Args:
        path: the warehouse's file, by default that of `warehouse_path`.

    Returns:
        Rows loaded per table; empty if the raw schema existed.
    """
    with open_warehouse(path=path) as warehouse:
        if _has_raw_schema(warehouse):
            return {}
        with loading(warehouse):
            return {
                table: load_table(warehouse, table, file_rows(RAW_DATA, table))
                for table in RAW_TABLES
            }


def _has_raw_schema(warehouse: duckdb.DuckDBPyConnection) -> bool:
    query = "select 1 from information_schema.schemata where schema_name = 'raw'"
    return warehouse.execute(query).fetchone() is not None

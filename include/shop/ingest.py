"""Brings the shop's files into the warehouse's raw schema and writes down each load."""

from __future__ import annotations

from typing import Any

import duckdb

from include.shop.warehouse import RAW_TABLES, create_raw_tables


def ingest_files(
    warehouse: duckdb.DuckDBPyConnection, source: Any, start: Any = None, end: Any = None
) -> dict[str, int]:
    """Replace the rows received in [start, end) by those of the files, in one transaction.

    Args:
        warehouse: a connection that may write.
        source: an ObjectStoragePath, the folder with a `<table>.csv` or `<table>.csv.gz` per table.
        start: a time, or none for all rows; so is `end`.

    Returns:
        Rows per table. A table whose file was not delivered is left out and keeps its rows and its
        time of loading, so that dbt's source freshness sees it.
    """
    received = f"received_at >= '{start}' and received_at < '{end}'" if start else "true"
    rows: dict[str, int] = {}
    warehouse.register_filesystem(source.fs)
    warehouse.begin()  # closing without a commit rolls back
    create_raw_tables(warehouse)
    for table in RAW_TABLES:
        if not any(source.glob(f"{table}.csv*")):
            continue
        warehouse.execute(f"delete from raw.{table} where {received}")
        wanted = f"from read_csv('{source}/{table}.csv*') where {received}"
        inserted = warehouse.execute(f"insert into raw.{table} by name {wanted}").fetchone()
        (rows[table],) = inserted or (0,)
        warehouse.execute("insert into raw.loads values (?, now(), ?)", (table, rows[table]))
    warehouse.commit()
    return rows

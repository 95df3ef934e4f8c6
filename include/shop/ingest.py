"""Load files into the warehouse's raw schema, and log each load."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from include.shop.warehouse import RAW_TABLES, create_raw_tables, open_warehouse, transaction

RAW_DATA = Path(__file__).parents[1] / "raw_data"


@contextmanager
def loading(warehouse: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Open a transaction in which the raw tables exist; commit it, or roll it back on an error."""
    with transaction(warehouse):
        create_raw_tables(warehouse)
        yield


def load_table(
    warehouse: duckdb.DuckDBPyConnection, table: str, rows: str, replaced: str = "false"
) -> int:
    """Load rows into a raw table, and log the load in ``raw.loads``, also without rows.

    Args:
        warehouse: A writable connection, within ``loading``.
        table: One of ``RAW_TABLES``.
        rows: A query, such as ``from 'orders.parquet'``; columns are matched by name.
        replaced: The condition for rows to delete first.

    Returns:
        The number of loaded rows.
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
    """Replace the rows received in [start, end) with those of the files, in one transaction.

    Args:
        warehouse: A writable connection.
        source: An ObjectStoragePath with a ``<table>.csv`` or ``<table>.csv.gz`` per table.
        start: A time, or None for all rows.
        end: A time, or None for all rows.

    Returns:
        Rows per table. A table without a file is skipped, and keeps its rows and its time of
        loading, so that dbt's source freshness detects it.
    """
    received = f"received_at >= '{start}' and received_at < '{end}'" if start else "true"
    rows: dict[str, int] = {}
    warehouse.register_filesystem(source.fs)
    with loading(warehouse):
        for table in RAW_TABLES:
            if any(source.glob(f"{table}.csv*")):
                selected = f"{file_rows(source, table)} where {received}"
                rows[table] = load_table(warehouse, table, selected, replaced=received)
    return rows


def main() -> None:
    """Load the source files into the warehouse whose file is the argument."""
    parser = argparse.ArgumentParser(prog="python -m include.shop.ingest", description=main.__doc__)
    parser.add_argument("warehouse", type=Path)
    load_raw_data(parser.parse_args().warehouse)


def load_raw_data(path: Path | None = None) -> dict[str, int]:
    """Load ``include/raw_data`` in one transaction, unless the raw schema exists.

    A new machine can therefore run dbt before a Dag has loaded anything.

    Args:
        path: The warehouse's file, by default that of ``warehouse_path``.

    Returns:
        Loaded rows per table; empty if the raw schema existed.
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


if __name__ == "__main__":
    main()

"""The shop's warehouse: one DuckDB file, which only one process at a time can open for writing.

Copy this folder with a Dag that uses it. This module needs only DuckDB.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

INCLUDE = Path(__file__).parents[1]

# Table → column → type. Times are UTC; amounts are whole cents; blanks in the files become nulls.
RAW_TABLES = {
    "customers": {
        "customer_id": "bigint",
        "first_name": "varchar",
        "last_name": "varchar",
        "email": "varchar",
        "signed_up_at": "timestamptz",
        "received_at": "timestamptz",
    },
    "orders": {
        "order_id": "bigint",
        "customer_id": "bigint",
        "store_id": "bigint",
        "ordered_at": "timestamptz",
        "status": "varchar",
        "tax_cents": "bigint",
        "total_cents": "bigint",
        "received_at": "timestamptz",
    },
    "order_items": {
        "order_item_id": "bigint",
        "order_id": "bigint",
        "product_id": "bigint",
        "quantity": "bigint",
        "unit_price_cents": "bigint",
        "received_at": "timestamptz",
    },
    "payments": {
        "payment_id": "bigint",
        "order_id": "bigint",
        "payment_method": "varchar",
        "status": "varchar",
        "amount_cents": "bigint",
        "paid_at": "timestamptz",
        "received_at": "timestamptz",
    },
    "products": {
        "product_id": "bigint",
        "product_name": "varchar",
        "product_type": "varchar",
        "price_cents": "bigint",
        "received_at": "timestamptz",
    },
    "stores": {
        "store_id": "bigint",
        "store_name": "varchar",
        "opened_on": "date",
        "tax_rate": "decimal(5, 4)",
        "received_at": "timestamptz",
    },
}


def warehouse_path() -> Path:
    """Return the warehouse's file, in ``LOCAL_DBT_CLOUD_DATA`` or ``include/.local``."""
    return Path(os.environ.get("LOCAL_DBT_CLOUD_DATA") or INCLUDE / ".local") / "warehouse.duckdb"


@contextmanager
def open_warehouse(
    read_only: bool = False, wait: float = 60.0, path: Path | None = None
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield a connection to the warehouse and close it at the end, so that others can open it.

    Args:
        read_only: Open for reading only; the warehouse must exist.
        wait: Seconds to wait while another process, such as a dbt run, holds the file.
        path: The warehouse's file, by default that of ``warehouse_path``.

    Raises:
        FileNotFoundError: The warehouse does not exist and ``read_only`` is set.
        TimeoutError: Another process still held the file after ``wait`` seconds.
    """
    path = path or warehouse_path()
    if read_only and not path.exists():
        raise FileNotFoundError(f"The warehouse {path} does not exist yet: load some data first.")
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = _connect(path, read_only, wait)
    try:
        yield connection
    finally:
        connection.close()


@contextmanager
def transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Commit the statements of the block together, or roll all of them back on an error."""
    connection.begin()
    try:
        yield
    except BaseException:
        connection.rollback()
        raise
    connection.commit()


def create_raw_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Create the raw schema, its tables and the log of loads, if they are missing."""
    connection.execute("create schema if not exists raw")
    for table, columns in RAW_TABLES.items():
        definition = ", ".join(f"{name} {type_}" for name, type_ in columns.items())
        connection.execute(f"create table if not exists raw.{table} ({definition})")
    connection.execute(
        "create table if not exists raw.loads"
        " (table_name varchar, loaded_at timestamptz, row_count bigint)"
    )


def _connect(path: Path, read_only: bool, wait: float) -> duckdb.DuckDBPyConnection:
    deadline = time.monotonic() + wait
    while True:
        try:
            return duckdb.connect(path, read_only=read_only)
        except duckdb.IOException as error:
            if "Could not set lock" not in str(error):
                raise
            if time.monotonic() >= deadline:
                raise TimeoutError(
                    f"Another process has kept the warehouse {path} open for {wait:g} s:"
                    " wait for its dbt run or query to finish, or stop it, then try again."
                ) from error
        time.sleep(0.1)

"""What a Fivetran sync does here: the shop's new rows land in the warehouse's raw schema."""

from __future__ import annotations

import duckdb

from include.shop.warehouse import RAW_DATA, RAW_TABLES, create_raw_tables, open_warehouse


def land_new_rows() -> dict[str, int]:
    """Append the rows of ``include/raw_data`` that the raw schema lacks, all or none of them.

    Returns:
        Rows landed per table.

    Raises:
        TimeoutError: another process kept the warehouse.
        duckdb.Error: a file or a table is not as it should be.
    """
    with open_warehouse() as warehouse:
        warehouse.begin()  # closing without a commit rolls back
        create_raw_tables(warehouse)
        landed = {table: _land(warehouse, table) for table in RAW_TABLES}
        warehouse.commit()
    return landed


def _land(warehouse: duckdb.DuckDBPyConnection, table: str) -> int:
    files = str(RAW_DATA / f"{table}.csv*")  # plain or compressed
    warehouse.read_csv(files, header=True, dtype=RAW_TABLES[table]).create_view("incoming")
    new = f"from incoming except all from raw.{table}"
    (count,) = warehouse.execute(f"insert into raw.{table} {new}").fetchone() or (0,)
    # Also a sync that finds nothing new is logged: the table is as fresh as its source.
    warehouse.execute("insert into raw.loads values (?, now(), ?)", [table, count])
    warehouse.execute("drop view incoming")
    return int(count)

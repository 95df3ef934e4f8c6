"""A Fivetran sync: load the shop's new rows into the warehouse's raw schema."""

from __future__ import annotations

from include.shop.ingest import RAW_DATA, file_rows, load_table, loading
from include.shop.warehouse import RAW_TABLES, open_warehouse


def land_new_rows() -> dict[str, int]:
    """Append the rows of ``include/raw_data`` that the raw schema lacks, all or none of them.

    A sync without new rows is recorded too: the table is then as fresh as its source.

    Returns:
        Rows landed per table.

    Raises:
        TimeoutError: Another process held the warehouse.
        duckdb.Error: A file or a table does not have the expected columns.
    """
    with open_warehouse() as warehouse, loading(warehouse):
        return {
            table: load_table(
                warehouse, table, f"{file_rows(RAW_DATA, table)} except all from raw.{table}"
            )
            for table in RAW_TABLES
        }

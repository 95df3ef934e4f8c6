"""Makes the tables of ``dbt_cloud.db``, and tells a database of another version apart."""

from __future__ import annotations

from sqlalchemy import Engine, inspect
from sqlalchemy.exc import DatabaseError

from include.local_dbt_cloud.data_folder import DataFolderError
from include.local_dbt_cloud.rows import Row


def create_tables(engine: Engine) -> None:
    """Makes the tables that are missing; raises DataFolderError if the others do not fit."""
    try:
        fits = _fits(engine)
    except DatabaseError as error:
        raise DataFolderError(f"dbt_cloud.db cannot be read: {error.orig}. {_advice()}") from None
    if not fits:
        raise DataFolderError(
            f"dbt_cloud.db was made by another version of the local dbt Cloud. {_advice()}"
        )
    Row.metadata.create_all(engine)


def _fits(engine: Engine) -> bool:
    inspector = inspect(engine)
    existing = set(inspector.get_table_names())
    return all(
        {column["name"] for column in inspector.get_columns(table.name)} == set(table.c.keys())
        for table in Row.metadata.tables.values()
        if table.name in existing
    )


def _advice() -> str:
    return "Delete it with its runs, or choose another folder with --data."

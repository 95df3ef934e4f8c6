"""What the server remembers: SQLite through SQLAlchemy, safe to kill at any moment."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event, inspect
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import Session
from sqlalchemy.schema import CreateColumn

from include.local_dbt_cloud.storage.first_content import take_over
from include.local_dbt_cloud.storage.jobs_file import JobsFile
from include.local_dbt_cloud.storage.tables import Row
from include.local_servers.data_folder import DataFolderError


class Store:
    """Sessions on ``dbt_cloud.db``: many readers, one writer at a time.

    ``before_commit`` may add to what a writer has done, in the same transaction; when it returns
    true, ``after_commit`` is called.
    """

    def __init__(
        self, database: Path, before_commit: Callable[[Session], bool] = lambda _session: False
    ) -> None:
        self._engine = _open(database)
        self._writing = threading.RLock()
        self._before_commit = before_commit
        self.after_commit: Callable[[], None] = lambda: None
        create_tables(self._engine)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session that sees one moment of the database."""
        with Session(self._engine) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session that is alone in writing; committed at the end, rolled back on an error."""
        with (
            self._writing,
            Session(self._engine, expire_on_commit=False) as session,
            session.begin(),
        ):
            yield session
            has_more_to_do = self._before_commit(session)
        if has_more_to_do:
            self.after_commit()

    def close(self) -> None:
        self._engine.dispose()

    def take_over(self, jobs_file: JobsFile) -> None:
        """Adds what ``jobs.yaml`` has, and what changed there since the last start."""
        with self.write() as session:
            take_over(session, jobs_file)


def _open(database: Path) -> Engine:
    database.touch(mode=0o600)  # it keeps the secrets of webhooks
    engine = create_engine(
        f"sqlite:///{database}",
        connect_args={"timeout": 30},
        hide_parameters=True,  # a traceback must not show the secret of a webhook
    )

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # transactions begin where SQLAlchemy says so
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA cache_size=-16000")  # KiB: a deep page reads all runs before it

    @event.listens_for(engine, "begin")
    def begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN")

    return engine


def create_tables(engine: Engine) -> None:
    """Makes tables and columns that are missing; raises DataFolderError if the rest do not fit."""
    try:
        _add_columns(engine)
        fits = _fits(engine)
    except DatabaseError as error:
        raise DataFolderError(f"dbt_cloud.db cannot be read: {error.orig}. {_advice()}") from None
    if not fits:
        raise DataFolderError(
            f"dbt_cloud.db was made by another version of the local dbt Cloud. {_advice()}"
        )
    Row.metadata.create_all(engine)


def _add_columns(engine: Engine) -> None:
    """Columns that may be empty are new since the database was made; the rest is another one's."""
    inspector = inspect(engine)
    existing = set(inspector.get_table_names())
    for table in Row.metadata.tables.values():
        if table.name not in existing:
            continue
        names = {column["name"] for column in inspector.get_columns(table.name)}
        for column in table.columns:
            if column.nullable and column.name not in names:
                definition = CreateColumn(column).compile(dialect=engine.dialect)
                with engine.begin() as connection:
                    connection.exec_driver_sql(f"ALTER TABLE {table.name} ADD COLUMN {definition}")


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

"""The database: SQLite through SQLAlchemy, which survives a kill at any moment."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, delete, event, inspect
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import Session

from ..serving.data_folder import DataFolderError
from . import jobs_file_sync
from .jobs_file import JobsFile
from .tables import Row


class Store:
    """Sessions on ``dbt_cloud.db``: many readers, one writer at a time.

    ``before_commit`` can add rows to a writer's transaction; if it returns true, ``after_commit``
    is called.
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
        """Yield a session with one snapshot of the database."""
        with Session(self._engine) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Yield the only writing session; commit at the end, roll back on an error."""
        with (
            self._writing,
            Session(self._engine, expire_on_commit=False) as session,
            session.begin(),
        ):
            yield session
            has_more_to_do = self._before_commit(session)
        if has_more_to_do:
            self.after_commit()

    def reset(self, jobs_file: JobsFile) -> None:
        """Delete everything that is not in the jobs file; ids of runs are not used again."""
        with self.write() as session:
            for table in reversed(Row.metadata.sorted_tables):
                session.execute(delete(table))
            jobs_file_sync.apply(session, jobs_file)

    def close(self) -> None:
        self._engine.dispose()

    def apply_jobs_file(self, jobs_file: JobsFile) -> None:
        """Add entries that are new in ``jobs.yaml``, and update those that changed there."""
        with self.write() as session:
            jobs_file_sync.apply(session, jobs_file)


def _open(database: Path) -> Engine:
    database.touch(mode=0o600)  # it contains the secrets of webhooks
    engine = create_engine(
        f"sqlite:///{database}",
        connect_args={"timeout": 30},
        hide_parameters=True,  # a traceback must not show the secret of a webhook
    )

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # SQLAlchemy begins the transactions
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA cache_size=-16000")  # KiB: a deep page reads all runs before it

    @event.listens_for(engine, "begin")
    def begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN")

    return engine


def create_tables(engine: Engine) -> None:
    """Create missing tables; raise DataFolderError if existing ones have other columns."""
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

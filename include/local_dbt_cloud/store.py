"""What the server remembers: SQLite through SQLAlchemy, safe to kill at any moment."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from sqlalchemy import Engine, Select, create_engine, event, func
from sqlalchemy.orm import Session

from include.local_dbt_cloud.catalog import Catalog
from include.local_dbt_cloud.first_content import take_over
from include.local_dbt_cloud.query import ListQuery
from include.local_dbt_cloud.rows import Row
from include.local_dbt_cloud.schema import create_tables
from include.local_dbt_cloud.webhooks.events import record_events

AnyRow = TypeVar("AnyRow", bound=Row)


@dataclass(frozen=True)
class Page(Generic[AnyRow]):
    """One page of a list and how many rows the whole list has."""

    rows: list[AnyRow]
    total: int


class Store:
    """Sessions on ``dbt_cloud.db``: many readers, one writer at a time."""

    def __init__(self, database: Path) -> None:
        self._engine = _open(database)
        self._writing = threading.RLock()
        self.on_event: Callable[[], None] = lambda: None  # called when the outbox has grown
        create_tables(self._engine)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session that sees one moment of the database."""
        with Session(self._engine) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session that is alone in writing; committed at the end, rolled back on an error.

        What happened to runs goes into the outbox of webhooks with the same commit.
        """
        with (
            self._writing,
            Session(self._engine, expire_on_commit=False) as session,
            session.begin(),
        ):
            yield session
            has_events = record_events(session)
        if has_events:
            self.on_event()

    def close(self) -> None:
        self._engine.dispose()

    def take_over(self, catalog: Catalog) -> None:
        """Adds what ``jobs.yaml`` has, and what changed there since the last start."""
        with self.write() as session:
            take_over(session, catalog)


def page_of(session: Session, statement: Select[AnyRow], query: ListQuery) -> Page[AnyRow]:
    """The page that ``query`` asks for, and the total, both of the session's one moment."""
    matching = statement.where(*query.conditions)
    total = session.scalar(matching.with_only_columns(func.count())) or 0
    ordered = matching.order_by(*query.ordering).limit(query.limit).offset(query.offset)
    return Page(list(session.scalars(ordered)), total)


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

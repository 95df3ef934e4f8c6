"""Hears of finished runs without being called: one poll for all assets of a connection.

Each asset has a cursor of its own in Airflow's asset state store, so a Dag that is switched on
later misses nothing of its own and repeats nothing of the others'. A cursor says until when an
asset has heard, and which runs of the last minutes it knows: runs may end out of the order of their
ids, two in the same second, and one may be listed later than another that ended after it. It moves
once Airflow has confirmed that the events are in its database. Should a triggerer die before, they
come again, and ``once`` makes none twice.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Hashable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from ..airflow.compat import AdvanceItem, BaseEventTrigger, SharedStreamProducer, TriggerEvent
from ..api.async_client import AsyncDbtCloudClient
from ..api.responses import LONGEST_WAIT, DbtCloudRefusedError, back_off
from ..api.text import storable
from .listed import Cursor, Look, Unreadable, look_at
from .wanted import Wanted, conn_id_of

KEY = "dbt_cloud_runs"  # in the asset state store
log = logging.getLogger(__name__)


class DbtCloudRunsTrigger(BaseEventTrigger):
    """Fires for each finished run that the asset ``uri`` is about. Needs Airflow 3.3.

    Where it begins for the first time, what has ended before is left out.
    """

    def __init__(self, uri: str, poll_interval: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow's has no types
        self.uri = uri  # also tells the triggers of two assets apart: Airflow would make them one
        self.poll_interval = poll_interval
        self.cursor: Cursor | None = None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        path = f"{type(self).__module__}.{type(self).__qualname__}"
        return path, {"uri": self.uri, "poll_interval": self.poll_interval}

    def shared_stream_key(self) -> Hashable:
        return type(self).__qualname__, conn_id_of(self.uri)

    @classmethod
    def create_shared_stream_producer(cls, kwargs: dict[str, Any]) -> FinishedRuns:
        return FinishedRuns(conn_id_of(kwargs["uri"]))

    async def filter_shared_stream(
        self, shared_stream: AsyncIterator[Look]
    ) -> AsyncIterator[TriggerEvent]:
        wanted = Wanted.of_uri(self.uri)
        assert self.asset_state_store  # Airflow gives it to each watcher
        if stored := await self.asset_state_store.aget(KEY):
            self.cursor = Cursor.of_json(stored)
        with listening(self):
            async for look in shared_stream:
                if self.cursor is None:
                    self.cursor = look.cursor()
                    await self.keep(self.cursor)
                elif look.reaches_back_to(self.cursor):
                    for run in filter(wanted.fits, look.new_to(self.cursor)):
                        yield TriggerEvent(run.as_extra())  # type: ignore[no-untyped-call]
                    before, self.cursor = self.cursor, look.cursor(self.cursor)
                    if self.cursor != before:
                        look.cursors[self] = self.cursor

    async def keep(self, cursor: Cursor) -> None:
        assert self.asset_state_store
        await self.asset_state_store.aset(KEY, cursor.as_json())

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """By itself, which Airflow does not ask for: its cursor stays where it is."""
        looks = self.create_shared_stream_producer(self.serialize()[1]).open_stream()
        async for event in self.filter_shared_stream(look async for look, _same in looks):
            yield event


# The triggerer gives a shared stream no list of its subscribers: they enter themselves here.
LISTENING: defaultdict[str, set[DbtCloudRunsTrigger]] = defaultdict(set)


@contextmanager
def listening(trigger: DbtCloudRunsTrigger) -> Iterator[None]:
    triggers = LISTENING[conn_id_of(trigger.uri)]
    triggers.add(trigger)
    try:
        yield
    finally:
        triggers.discard(trigger)


class FinishedRuns(SharedStreamProducer):
    """The poll. It goes on whatever happens, and logs each problem once."""

    def __init__(self, conn_id: str) -> None:
        self.triggers = LISTENING[conn_id]
        self.conn_id = conn_id
        self.failures = 0
        self.problem = ""
        self.unreadable: Unreadable = {}

    async def open_stream(self) -> AsyncIterator[tuple[Look, Look]]:
        """A failed look opens a new connection, with the token as it is in Airflow by then."""
        while not self.triggers:
            await asyncio.sleep(0.1)  # until the first has read its cursor
        while True:
            try:
                async with AsyncDbtCloudClient(self.conn_id) as client:
                    while True:
                        began = time.monotonic()
                        look = await look_at(client, self.since())
                        self.worked()
                        self.warn_of(look.unreadable)
                        yield look, look
                        interval = min((one.poll_interval for one in self.triggers), default=1.0)
                        await asyncio.sleep(max(interval - (time.monotonic() - began), 0.1))
            except Exception as error:
                # Whatever it is, it says nothing about the runs, and all watchers depend on this.
                await asyncio.sleep(self.failed(error))

    async def advance(self, batch: Sequence[AdvanceItem]) -> None:
        """All events of these looks are in Airflow's database, but those of ``failed`` watchers.

        Airflow has ended these, and starts them again from the cursors that they have stored.
        """
        for item in batch:
            cursors = {} if item.outcome.failed else item.broker_payload.cursors
            for trigger, cursor in cursors.items():
                if trigger in self.triggers:
                    await self.move(trigger, cursor)

    async def move(self, trigger: DbtCloudRunsTrigger, cursor: Cursor) -> None:
        """An asset whose cursor cannot be stored stops none of the others."""
        try:
            await trigger.keep(cursor)
        except Exception as error:
            log.warning("The cursor of %s stays where it was: %s", trigger.uri, error)

    def since(self) -> datetime | None:
        """How far back the watcher asks that has heard least; None if all begin now."""
        return min((one.cursor.since for one in self.triggers if one.cursor), default=None)

    def worked(self) -> None:
        if self.problem:
            log.info("%s: dbt Cloud tells of its finished runs again.", self.conn_id)
        self.failures, self.problem = 0, ""

    def warn_of(self, unreadable: Unreadable) -> None:
        """Says once of each run why it is left out; the others are as usual."""
        for run_id in unreadable.keys() - self.unreadable.keys():
            reason = unreadable[run_id]
            log.warning("%s: dbt Cloud run %s is left out: %s.", self.conn_id, run_id, reason)
        self.unreadable = unreadable

    def failed(self, error: Exception) -> float:
        """Says so, and how many seconds to wait."""
        problem = storable(f"{type(error).__name__}: {error}")
        if problem != self.problem:
            log.warning(
                "%s: cannot hear of finished runs, and tries again; none is lost. %s",
                self.conn_id,
                problem,
            )
        self.failures, self.problem = self.failures + 1, problem
        if isinstance(error, DbtCloudRefusedError):
            return LONGEST_WAIT  # such as a wrong token: somebody has to do something
        return back_off(self.failures, getattr(error, "retry_after", 0.0))

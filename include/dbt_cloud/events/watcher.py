"""Watch for finished runs by polling, with one poll for all assets of a connection.

Each asset has its own cursor in Airflow's asset state store, so that a Dag that is switched on
later neither misses runs nor repeats those of others. A cursor has the time of the last run, and
the runs of the last minutes, since runs can finish in the same second, or be listed late. It
advances once Airflow has confirmed that the events are in its database. If a triggerer dies before,
the events are sent again, and ``deduplication`` drops the second ones.
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
from .listed import Cursor, Listing, Unreadable, list_finished_runs
from .run_filter import RunFilter, conn_id_of

CURSOR_KEY = "dbt_cloud_runs"  # in the asset state store
log = logging.getLogger(__name__)


class DbtCloudRunsTrigger(BaseEventTrigger):
    """Fires for each finished run of the asset ``uri``. Needs Airflow 3.3.

    At its first start it skips runs that have already finished.
    """

    def __init__(self, uri: str, poll_interval: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow's has no types
        self.uri = uri  # different for each asset, since Airflow merges equal triggers
        self.poll_interval = poll_interval
        self.cursor: Cursor | None = None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        path = f"{type(self).__module__}.{type(self).__qualname__}"
        return path, {"uri": self.uri, "poll_interval": self.poll_interval}

    def shared_stream_key(self) -> Hashable:
        return type(self).__qualname__, conn_id_of(self.uri)

    @classmethod
    def create_shared_stream_producer(cls, kwargs: dict[str, Any]) -> FinishedRunsProducer:
        return FinishedRunsProducer(conn_id_of(kwargs["uri"]))

    async def filter_shared_stream(
        self, shared_stream: AsyncIterator[Listing]
    ) -> AsyncIterator[TriggerEvent]:
        run_filter = RunFilter.of_uri(self.uri)
        assert self.asset_state_store  # Airflow sets it for each watcher
        if stored := await self.asset_state_store.aget(CURSOR_KEY):
            self.cursor = Cursor.of_json(stored)
        with subscribed(self):
            async for listing in shared_stream:
                if self.cursor and not listing.is_of(self.cursor):
                    log.warning(
                        "%s starts at now: its connection changed from %s to %s.",
                        *(self.uri, self.cursor.account, listing.account),
                    )
                    self.cursor = None
                if self.cursor is None:
                    self.cursor = listing.cursor()
                    await self.keep(self.cursor)
                elif listing.reaches_back_to(self.cursor):
                    for run in filter(run_filter.fits, listing.new_to(self.cursor)):
                        yield TriggerEvent(run.as_extra())  # type: ignore[no-untyped-call]
                    before, self.cursor = self.cursor, listing.cursor(self.cursor)
                    if self.cursor != before:
                        listing.cursors[self] = self.cursor

    async def keep(self, cursor: Cursor) -> None:
        assert self.asset_state_store
        await self.asset_state_store.aset(CURSOR_KEY, cursor.as_json())

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Run without a shared stream, which Airflow does not do; the cursor is not stored."""
        listings = self.create_shared_stream_producer(self.serialize()[1]).open_stream()
        async for event in self.filter_shared_stream(listing async for listing, _same in listings):
            yield event


# The triggerer gives a shared stream no list of its subscribers, so they register here.
SUBSCRIBERS: defaultdict[str, set[DbtCloudRunsTrigger]] = defaultdict(set)


@contextmanager
def subscribed(trigger: DbtCloudRunsTrigger) -> Iterator[None]:
    triggers = SUBSCRIBERS[conn_id_of(trigger.uri)]
    triggers.add(trigger)
    try:
        yield
    finally:
        triggers.discard(trigger)


class FinishedRunsProducer(SharedStreamProducer):
    """The shared poll, which continues after any error, and logs each problem once."""

    def __init__(self, conn_id: str) -> None:
        self.triggers = SUBSCRIBERS[conn_id]
        self.conn_id = conn_id
        self.failures = 0
        self.problem = ""
        self.unreadable: Unreadable = {}

    async def open_stream(self) -> AsyncIterator[tuple[Listing, Listing]]:
        """Yield each listing; after a failure reconnect, with Airflow's current token."""
        while not self.triggers:
            await asyncio.sleep(0.1)  # until the first has read its cursor
        while True:
            try:
                async with AsyncDbtCloudClient(self.conn_id) as client:
                    while True:
                        began = time.monotonic()
                        listing = await list_finished_runs(client, self.since())
                        self.worked()
                        self.warn_of(listing.unreadable)
                        yield listing, listing
                        interval = min((one.poll_interval for one in self.triggers), default=1.0)
                        await asyncio.sleep(max(interval - (time.monotonic() - began), 0.1))
            except Exception as error:
                # No error here is a failure of a run, and all watchers depend on this poll.
                await asyncio.sleep(self.failed(error))

    async def advance(self, batch: Sequence[AdvanceItem]) -> None:
        """Store the cursors, since the events of these listings are in Airflow's database.

        Skip ``failed`` watchers, which Airflow restarts from their stored cursors.
        """
        for item in batch:
            cursors = {} if item.outcome.failed else item.broker_payload.cursors
            for trigger, cursor in cursors.items():
                if trigger in self.triggers:
                    await self.move(trigger, cursor)

    async def move(self, trigger: DbtCloudRunsTrigger, cursor: Cursor) -> None:
        """Store a cursor; log a failure, so that other assets continue."""
        try:
            await trigger.keep(cursor)
        except Exception as error:
            log.warning("Could not store the cursor of %s: %s", trigger.uri, error)

    def since(self) -> datetime | None:
        """Return the start of the oldest cursor; None if there is none."""
        return min((one.cursor.since for one in self.triggers if one.cursor), default=None)

    def worked(self) -> None:
        if self.problem:
            log.info("%s: polling of finished runs works again.", self.conn_id)
        self.failures, self.problem = 0, ""

    def warn_of(self, unreadable: Unreadable) -> None:
        """Log once for each unreadable run why it is skipped."""
        for run_id in unreadable.keys() - self.unreadable.keys():
            reason = unreadable[run_id]
            log.warning("%s: skipped dbt Cloud run %s: %s.", self.conn_id, run_id, reason)
        self.unreadable = unreadable

    def failed(self, error: Exception) -> float:
        """Log a new problem; return the seconds to wait."""
        problem = storable(f"{type(error).__name__}: {error}")
        if problem != self.problem:
            log.warning(
                "%s: could not poll finished runs, and retries; none is lost. %s",
                self.conn_id,
                problem,
            )
        self.failures, self.problem = self.failures + 1, problem
        if isinstance(error, DbtCloudRefusedError):
            return LONGEST_WAIT  # such as for a wrong token, which a person must correct
        return back_off(self.failures, getattr(error, "retry_after", 0.0))

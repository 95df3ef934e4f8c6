"""The account's finished runs as dbt Cloud lists them, and how far an asset has heard of them."""

from __future__ import annotations

import itertools
import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from reprlib import repr as beginning_of
from typing import Any, Self

from ..api.async_client import AsyncDbtCloudClient
from .fields import mapping, moment, number
from .finished_run import LISTED, FinishedRun

LOOK_BACK = timedelta(minutes=5)  # how late a run that has ended may appear in the list
CATCH_UP = timedelta(days=3)  # how far back a watcher goes that has been away
CLOCKS_DIFFER = timedelta(days=1)  # more than dbt Cloud's and Airflow's ever do
PAGE = 100  # runs
MOST_UNREADABLE = 1000  # runs, before one that can be read
log = logging.getLogger(__name__)

Runs = list[tuple[datetime, FinishedRun]]
Unreadable = dict[str, str]  # a run's id in words → why it cannot be read


@dataclass(frozen=True)
class Cursor:
    """``until`` is dbt Cloud's time; ``known`` are the account's runs of ``LOOK_BACK`` before."""

    until: datetime
    known: frozenset[int]

    @classmethod
    def of_json(cls, stored: Any) -> Self | None:
        """Read what ``as_json`` gave; None for anything else, and the asset begins now."""
        try:
            until, known = mapping("It", stored).get("until"), stored.get("known")
            read = cls(moment("until", until), frozenset(number("known", one) for one in known))
            if read.until > datetime.now(UTC) + CLOCKS_DIFFER:
                raise ValueError(f"until is {until}, which is yet to come")
            return read
        except (TypeError, ValueError) as error:
            log.warning("A watcher begins now: its stored cursor cannot be read. %s.", error)
            return None

    def as_json(self) -> dict[str, Any]:
        return {"until": self.until.isoformat(), "known": sorted(self.known)}

    @property
    def since(self) -> datetime:
        return self.until - LOOK_BACK


@dataclass(eq=False)
class Look:
    """Runs that have ended, oldest first: all since ``since``, or without it the newest."""

    runs: Runs
    since: datetime | None
    unreadable: Unreadable = field(default_factory=dict)
    # Watcher → where it stands once all of its events are stored.
    cursors: dict[Any, Cursor] = field(default_factory=dict)

    def reaches_back_to(self, cursor: Cursor) -> bool:
        return self.since is not None and self.since <= cursor.since

    def new_to(self, cursor: Cursor) -> list[FinishedRun]:
        return [
            run for at, run in self.runs if at >= cursor.since and run.run_id not in cursor.known
        ]

    def cursor(self, before: Cursor | None = None) -> Cursor:
        now = datetime.now(UTC)
        least = before.until if before else now - CLOCKS_DIFFER
        # A run whose end is yet to come must hide none that ends before.
        until = max([least, *(at for at, _run in self.runs if at <= now)])
        known = (run.run_id for at, run in self.runs if at >= until - LOOK_BACK)
        return Cursor(until, frozenset(known))


async def look_at(client: AsyncDbtCloudClient, since: datetime | None) -> Look:
    """The newest finished runs, in as many pages as it takes.

    A run that ends meanwhile moves others to the next page, so pages overlap and miss none.
    """
    found: dict[int, tuple[datetime, FinishedRun]] = {}
    unreadable: Unreadable = {}
    now, earliest = datetime.now(UTC), None
    for offset in itertools.count(0, PAGE):
        page = await client.get("runs/", limit=PAGE, offset=offset, **LISTED)
        listed, others = read_page(page)
        found |= {run.run_id: (at, run) for at, run in listed}
        unreadable |= others
        past = [at for at, _run in listed if at <= now]
        if past and not earliest:
            earliest = max(since or past[0] - LOOK_BACK, past[0] - CATCH_UP)
        if len(page) < PAGE or (earliest and past and past[-1] < earliest):
            break
        if not earliest and len(unreadable) >= MOST_UNREADABLE:
            reason = next(iter(unreadable.values()))
            raise ValueError(f"none of {len(unreadable)} listed runs can be read: {reason}")
    if since and earliest and any(since + LOOK_BACK < at < earliest for at in past):
        last_heard = (since + LOOK_BACK).isoformat(timespec="seconds")
        log.warning(
            "Nobody has listened since %s: runs of more than %s days ago are left out.",
            last_heard,
            CATCH_UP.days,
        )
    runs = [(at, run) for at, run in found.values() if not earliest or at >= earliest]
    return Look(sorted(runs, key=lambda one: (one[0], one[1].run_id)), since, unreadable)


def read_page(page: Any) -> tuple[Runs, Unreadable]:
    """Return the runs of a page in its order, with the exact time of their end, and the others.

    Raises:
        ValueError: it is no list.
    """
    if not isinstance(page, list):
        raise ValueError(f"dbt Cloud answered {beginning_of(page)} for a list of runs")
    runs: Runs = []
    unreadable: Unreadable = {}
    for run in page:
        try:
            finished = FinishedRun.of_listed(run)
            runs.append((moment("the end", run["finished_at"]), finished))
        except ValueError as error:
            unreadable[beginning_of(run.get("id") if isinstance(run, dict) else run)] = str(error)
    return runs, unreadable

"""List the account's finished runs, and keep an asset's position in them."""

from __future__ import annotations

import itertools
import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from reprlib import repr as beginning_of
from typing import Any, Self

from ..api.accounts import Account
from ..api.async_client import AsyncDbtCloudClient
from ..api.runs import CLOCK_SKEW, PAGE
from .fields import mapping, moment, number, text
from .finished_run import LISTED, FinishedRun

LOOK_BACK = timedelta(minutes=5)  # maximum delay of a finished run in the list
CATCH_UP = timedelta(days=3)  # how far back a watcher reads after a pause
MOST_UNREADABLE = 1000  # runs before the first readable one
log = logging.getLogger(__name__)

Runs = list[tuple[datetime, FinishedRun]]
Unreadable = dict[str, str]  # a run's id as text → reason


@dataclass(frozen=True)
class Cursor:
    """An asset's position: dbt Cloud's time, and the account's runs of ``LOOK_BACK`` before it.

    ``account`` is empty in a cursor of an earlier version.
    """

    until: datetime
    seen: frozenset[int]
    account: str = ""

    @classmethod
    def of_json(cls, stored: Any) -> Self | None:
        """Read the result of ``as_json``; return None for an invalid one, to start at now."""
        try:
            until, seen = mapping("It", stored).get("until"), stored.get("known")
            known = frozenset(number("known", one) for one in seen)
            read = cls(moment("until", until), known, text(stored.get("account")))
            if read.until > datetime.now(UTC) + CLOCK_SKEW:
                raise ValueError(f"until is {until}, which is in the future")
            return read
        except (TypeError, ValueError) as error:
            log.warning("A watcher starts at now: its stored cursor cannot be read. %s.", error)
            return None

    def as_json(self) -> dict[str, Any]:
        known = sorted(self.seen)
        return {"until": self.until.isoformat(), "known": known, "account": self.account}

    @property
    def since(self) -> datetime:
        return self.until - LOOK_BACK


@dataclass(eq=False)
class Listing:
    """Finished runs, oldest first: all since ``since``, or without it the newest."""

    runs: Runs
    since: datetime | None
    account: str
    unreadable: Unreadable = field(default_factory=dict)
    # Watcher → its cursor once all of its events are stored.
    cursors: dict[Any, Cursor] = field(default_factory=dict)

    def is_of(self, cursor: Cursor) -> bool:
        """Return whether the cursor is of this account, or of an earlier version."""
        return cursor.account in ("", self.account)

    def reaches_back_to(self, cursor: Cursor) -> bool:
        return self.since is not None and self.since <= cursor.since

    def new_to(self, cursor: Cursor) -> list[FinishedRun]:
        return [
            run for at, run in self.runs if at >= cursor.since and run.run_id not in cursor.seen
        ]

    def cursor(self, before: Cursor | None = None) -> Cursor:
        now = datetime.now(UTC)
        least = before.until if before else now - CLOCK_SKEW
        # A run with a future end must not hide those that end before it.
        until = max([least, *(at for at, _run in self.runs if at <= now)])
        seen = (run.run_id for at, run in self.runs if at >= until - LOOK_BACK)
        return Cursor(until, frozenset(seen), self.account)


async def list_finished_runs(client: AsyncDbtCloudClient, since: datetime | None) -> Listing:
    """Return the newest finished runs, from as many pages as needed.

    A run that finishes meanwhile shifts others to the next page, so pages overlap without gaps.
    """
    found: dict[int, tuple[datetime, FinishedRun]] = {}
    unreadable: Unreadable = {}
    now, earliest = datetime.now(UTC), None
    for offset in itertools.count(0, PAGE):
        page = await client.get("runs/", limit=PAGE, offset=offset, **LISTED)
        listed, others = read_page(page, client.account)
        found |= {run.run_id: (at, run) for at, run in listed}
        unreadable |= others
        past = [at for at, _run in listed if at <= now]
        if past and not earliest:
            earliest = max(since or past[0] - LOOK_BACK, past[0] - CATCH_UP)
        if len(page) < PAGE or (earliest and past and past[-1] < earliest):
            break
        if not earliest and len(unreadable) >= MOST_UNREADABLE:
            reason = next(iter(unreadable.values()))
            raise ValueError(f"could not read any of {len(unreadable)} listed runs: {reason}")
    if since and earliest and any(since + LOOK_BACK < at < earliest for at in past):
        last_poll = (since + LOOK_BACK).isoformat(timespec="seconds")
        log.warning(
            "No watcher has run since %s: runs older than %s days are skipped.",
            last_poll,
            CATCH_UP.days,
        )
    runs = [(at, run) for at, run in found.values() if not earliest or at >= earliest]
    in_order = sorted(runs, key=lambda one: (one[0], one[1].run_id))
    return Listing(in_order, since, f"{client.account}", unreadable)


def read_page(page: Any, account: Account) -> tuple[Runs, Unreadable]:
    """Return a page's runs in order, with the exact time of their end, and unreadable ones.

    Raises:
        ValueError: The page is not a list.
    """
    if not isinstance(page, list):
        raise ValueError(f"dbt Cloud returned {beginning_of(page)} for a list of runs")
    runs: Runs = []
    unreadable: Unreadable = {}
    for run in page:
        try:
            finished = FinishedRun.of_listed(run, account)
            runs.append((moment("the end", run["finished_at"]), finished))
        except ValueError as error:
            unreadable[beginning_of(run.get("id") if isinstance(run, dict) else run)] = str(error)
    return runs, unreadable

"""One poll for all waiting runs of a connection."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from ..api.async_client import AsyncDbtCloudClient
from ..api.responses import back_off

BATCH = 100  # the most runs that dbt Cloud lists in one call
TICK = 5.0  # seconds; how late a deadline may be noticed while a call or a wait takes long
LEAST_REST = 1.0  # seconds between two polls, however many deadlines pass
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Account:
    """Whose runs are polled together."""

    conn_id: str
    account_id: int


@dataclass(frozen=True, eq=False)
class Waiting:
    """One trigger's wish to be told about a run, every ``interval`` seconds.

    And at its ``deadline``, as ``time.monotonic`` counts.
    """

    run_id: int
    interval: float
    deadline: float = math.inf


@dataclass
class Poll:
    """What one round found: run id → status. ``problem`` says why some or all are missing."""

    statuses: dict[int, int] = field(default_factory=dict)
    problem: str = ""
    retry_after: float = 0.0


@dataclass
class Silence:
    """How long dbt Cloud has given no good answer, from the first bad one on.

    So one bad answer is no long silence, however long ago the good one before was.
    """

    since: float = math.inf

    def update(self, is_good: bool) -> None:
        self.since = math.inf if is_good else min(self.since, time.monotonic())

    @property
    def seconds(self) -> float:
        return max(0.0, time.monotonic() - self.since)


# The triggerer gives a shared stream no list of its subscribers: they enter themselves here.
WAITING: defaultdict[Account, set[Waiting]] = defaultdict(set)


@contextmanager
def waiting(
    account: Account, run_id: int, interval: float, deadline: float = math.inf
) -> Iterator[None]:
    wish = Waiting(run_id, interval, deadline)
    WAITING[account].add(wish)
    try:
        yield
    finally:
        WAITING[account].discard(wish)


async def poll_for_ever(account: Account) -> AsyncIterator[Poll | None]:
    """Yield each poll, and None after every ``TICK`` seconds without one.

    So that triggers look at their deadlines, however long a call takes or dbt Cloud asks to wait.
    """
    polls: asyncio.Queue[Poll] = asyncio.Queue()
    polling = asyncio.create_task(poll_into(polls.put_nowait, account))
    try:
        while True:
            poll = None
            with suppress(TimeoutError):
                async with asyncio.timeout(TICK):
                    poll = await polls.get()
            yield poll
    finally:
        polling.cancel()


async def ticks(seconds: float) -> AsyncIterator[None]:
    """Yield at once, and after every ``TICK`` seconds until so many have passed."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        yield
        await asyncio.sleep(min(left, TICK))


async def poll_into(tell: Callable[[Poll], None], account: Account) -> None:
    """One list call per hundred runs and interval, over one connection for as long as it works.

    A failed round opens a new connection, with the token as it is in Airflow by then.
    """
    failures = 0
    while True:
        client = AsyncDbtCloudClient(account.conn_id, account.account_id)
        poll = Poll()
        try:
            async with client:
                while not poll.problem:
                    began = time.monotonic()
                    await ask(client, account, poll := Poll())
                    tell(poll)
                    failures = 0 if not poll.problem else failures + 1
                    await rest(account, poll, failures, time.monotonic() - began)
        except Exception as error:
            # Whatever it is, it says nothing about the runs, and all tasks depend on this poll.
            failures += 1
            tell(poll := Poll(problem=f"{type(error).__name__}: {error}"))
            await rest(account, poll, failures)


async def ask(client: AsyncDbtCloudClient, account: Account, poll: Poll) -> None:
    """One round; what was found before a problem stays in ``poll``."""
    run_ids = sorted({wish.run_id for wish in WAITING[account]})
    try:
        for start in range(0, len(run_ids), BATCH):
            poll.statuses |= await client.statuses(run_ids[start : start + BATCH])
    except Exception as error:
        poll.problem = str(error)
        poll.retry_after = getattr(error, "retry_after", 0.0)
        log.warning("%s", error)


async def rest(account: Account, poll: Poll, failures: int, took: float = 0.0) -> None:
    """A trigger that comes meanwhile may shorten it."""
    ended = time.monotonic()
    while (left := next_poll(account, poll, failures, ended, took) - time.monotonic()) > 0:
        await asyncio.sleep(min(left, 1.0))


def next_poll(
    account: Account, poll: Poll, failures: int, ended: float, took: float = 0.0
) -> float:
    """When the next poll is due, if the last one has ``ended`` then.

    At a deadline dbt Cloud is asked once more, unless it gives no good answer: the run may have
    ended in time.
    """
    due = ended + pause(account, poll, failures, took)
    if poll.problem:
        return due
    deadlines = (wish.deadline for wish in WAITING[account] if wish.deadline > ended)
    return min(due, max(ended + LEAST_REST, min(deadlines, default=math.inf)))


def pause(account: Account, poll: Poll, failures: int, took: float = 0.0) -> float:
    """What the round left of the interval; after failures growing, and as dbt Cloud asks for."""
    if not poll.problem:
        interval = min((wish.interval for wish in WAITING[account]), default=1.0)
        return max(interval - took, interval / 10)
    return back_off(failures, poll.retry_after)

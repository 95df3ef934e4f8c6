"""A shared poll for all waiting runs of a connection."""

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

BATCH = 100  # dbt Cloud's maximum of runs per list call
TICK = 5.0  # seconds; the maximum delay of a deadline during a long call or wait
MIN_PAUSE = 1.0  # seconds between two polls, also when several deadlines pass
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Account:
    """The account whose runs share a poll."""

    conn_id: str
    account_id: int


@dataclass(frozen=True, eq=False)
class Subscriber:
    """A trigger that needs a run's status every ``interval`` seconds.

    It also needs it at its ``deadline``, in seconds of ``time.monotonic``.
    """

    run_id: int
    interval: float
    deadline: float = math.inf


@dataclass
class Poll:
    """The result of one poll: run id → status. ``problem`` is the reason for missing runs."""

    statuses: dict[int, int] = field(default_factory=dict)
    problem: str = ""
    retry_after: float = 0.0


@dataclass
class Silence:
    """The time since the first of the latest consecutive failed polls.

    A single failed poll is therefore a short silence, also after a long interval.
    """

    since: float = math.inf

    def update(self, is_good: bool) -> None:
        self.since = math.inf if is_good else min(self.since, time.monotonic())

    @property
    def seconds(self) -> float:
        return max(0.0, time.monotonic() - self.since)


# The triggerer gives a shared stream no list of its subscribers, so they register here.
SUBSCRIBERS: defaultdict[Account, set[Subscriber]] = defaultdict(set)


@contextmanager
def subscribed(
    account: Account, run_id: int, interval: float, deadline: float = math.inf
) -> Iterator[None]:
    subscriber = Subscriber(run_id, interval, deadline)
    SUBSCRIBERS[account].add(subscriber)
    try:
        yield
    finally:
        SUBSCRIBERS[account].discard(subscriber)


async def poll_for_ever(account: Account) -> AsyncIterator[Poll | None]:
    """Yield each poll, and None after every ``TICK`` seconds without one.

    None lets triggers check their deadlines during a long call or wait.
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
    """Yield at once and every ``TICK`` seconds, for a total of ``seconds``."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        yield
        await asyncio.sleep(min(left, TICK))


async def poll_into(publish: Callable[[Poll], None], account: Account) -> None:
    """Poll forever: one list call per 100 runs and interval, over one connection.

    After a failed poll open a new connection, with Airflow's current token.
    """
    failures = 0
    while True:
        client = AsyncDbtCloudClient(account.conn_id, account.account_id)
        poll = Poll()
        try:
            async with client:
                while not poll.problem:
                    began = time.monotonic()
                    await poll_once(client, account, poll := Poll())
                    publish(poll)
                    failures = 0 if not poll.problem else failures + 1
                    await sleep_until_due(account, poll, failures, time.monotonic() - began)
        except Exception as error:
            # No error here is a failure of a run, and all tasks depend on this poll.
            failures += 1
            publish(poll := Poll(problem=f"{type(error).__name__}: {error}"))
            await sleep_until_due(account, poll, failures)


async def poll_once(client: AsyncDbtCloudClient, account: Account, poll: Poll) -> None:
    """Poll once into ``poll``, which keeps the statuses from before a problem."""
    run_ids = sorted({subscriber.run_id for subscriber in SUBSCRIBERS[account]})
    try:
        for start in range(0, len(run_ids), BATCH):
            poll.statuses |= await client.statuses(run_ids[start : start + BATCH])
    except Exception as error:
        poll.problem = str(error)
        poll.retry_after = getattr(error, "retry_after", 0.0)
        log.warning("%s", error)


async def sleep_until_due(account: Account, poll: Poll, failures: int, took: float = 0.0) -> None:
    """Sleep until the next poll is due; a new subscriber may shorten the sleep."""
    ended = time.monotonic()
    while (left := next_poll(account, poll, failures, ended, took) - time.monotonic()) > 0:
        await asyncio.sleep(min(left, 1.0))


def next_poll(
    account: Account, poll: Poll, failures: int, ended: float, took: float = 0.0
) -> float:
    """Return when the next poll is due, as ``time.monotonic``; the last one ``ended`` then.

    After a good poll, poll again at each deadline, since the run may have finished in time.
    """
    due = ended + pause(account, poll, failures, took)
    if poll.problem:
        return due
    deadlines = (
        subscriber.deadline for subscriber in SUBSCRIBERS[account] if subscriber.deadline > ended
    )
    return min(due, max(ended + MIN_PAUSE, min(deadlines, default=math.inf)))


def pause(account: Account, poll: Poll, failures: int, took: float = 0.0) -> float:
    """Return the rest of the interval, or after failures a growing wait."""
    if not poll.problem:
        interval = min((subscriber.interval for subscriber in SUBSCRIBERS[account]), default=1.0)
        return max(interval - took, interval / 10)
    return back_off(failures, poll.retry_after)

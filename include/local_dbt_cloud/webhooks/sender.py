"""Sends what is in the outbox, in a thread of its own, so that no run waits for a receiver.

A delivery leaves the outbox once its answer is stored. Killed before that, the server sends it
again after the next start, with the same event id; once stored, never.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from include.local_dbt_cloud.storage.store import Store
from include.local_dbt_cloud.times import now
from include.local_dbt_cloud.webhooks.outbox import (
    Attempt,
    Letter,
    due_letters,
    forget_old,
    next_due,
    record_attempt,
)

if TYPE_CHECKING:
    import httpx

STOP_SECONDS = 1.0
PAUSE_SECONDS = 1.0  # after an error of our own
LOOPBACK = ("all://localhost", "all://127.0.0.1", "all://[::1]")

log = logging.getLogger(__name__)


class Sender:
    """One delivery at a time per subscription, all subscriptions side by side.

    ``waits`` are the seconds before each further try, ``timeout`` those that a receiver has.
    """

    def __init__(self, store: Store, waits: Sequence[float], timeout: float) -> None:
        self.timeout = timeout
        self._store = store
        self._waits = waits
        self._thread = threading.Thread(target=self._work, daemon=True, name="webhooks")
        self._loop = asyncio.new_event_loop()
        self._changed = asyncio.Event()
        self._stopping = False
        self._busy: dict[int, asyncio.Task[None]] = {}

    def start(self) -> None:
        with self._store.write() as session:
            forget_old(session)
        self._store.after_commit = self.wake
        self._thread.start()

    def wake(self) -> None:
        """Says that there is something new in the outbox; from any thread."""
        with suppress(RuntimeError):  # the loop has ended: the next start will look
            self._loop.call_soon_threadsafe(self._changed.set)

    def stop(self) -> None:
        """Gives up what is on its way; it is sent again after the next start."""
        self._stopping = True
        self.wake()
        self._thread.join(STOP_SECONDS)

    def _work(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._send_all())

    async def _send_all(self) -> None:
        await self._wait()  # without anything to send, httpx is not even imported
        if self._stopping:
            return
        async with open_client() as client:
            while not self._stopping:
                try:
                    await self._send_due(client)
                except SQLAlchemyError:  # a full disk, for instance, which may pass
                    log.exception("The outbox of webhooks cannot be read")
                    await asyncio.sleep(PAUSE_SECONDS)

    async def _send_due(self, client: httpx.AsyncClient) -> None:
        """Starts what is due, then waits for more of it."""
        self._changed.clear()
        for letter in self._due():
            task = asyncio.create_task(self._deliver(client, letter))
            self._busy[letter.subscription_number] = task
        await self._wait()

    def _due(self) -> list[Letter]:
        with self._store.read() as session:
            return due_letters(session, self._busy)

    async def _wait(self) -> None:
        """Until something changes, or the next try is due."""
        with self._store.read() as session:
            moment = next_due(session, self._busy)
        seconds = max(0.0, (moment - now()).total_seconds()) if moment else None
        with suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), seconds)

    async def _deliver(self, client: httpx.AsyncClient, letter: Letter) -> None:
        try:
            attempt = await post(client, letter, self.timeout)
            with self._store.write() as session:
                record_attempt(session, letter.number, attempt, self._waits)
        except Exception:
            log.exception("Webhook delivery %s met an error of the local dbt Cloud", letter.number)
            await asyncio.sleep(PAUSE_SECONDS)
        finally:
            del self._busy[letter.subscription_number]
            self._changed.set()


def open_client() -> httpx.AsyncClient:
    """A proxy is for other machines only. Importing httpx takes 0.2 s, so not at the start."""
    import httpx

    return httpx.AsyncClient(timeout=None, mounts=dict.fromkeys(LOOPBACK))


async def post(client: httpx.AsyncClient, letter: Letter, timeout: float) -> Attempt:
    """One try; whatever goes wrong is part of what it returns."""
    import httpx

    headers = {
        "Authorization": sign(letter.secret, letter.body),
        "Content-Type": "application/json",
        "User-Agent": "local-dbt-cloud",
    }
    began_at = now()
    try:
        async with (
            asyncio.timeout(timeout),
            client.stream("POST", letter.url, content=letter.body, headers=headers) as answer,
        ):
            return Attempt(began_at, answer.status_code)
    except TimeoutError:
        return Attempt(began_at, error=f"No answer within {timeout:g} seconds.")
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, OSError) as error:
        return Attempt(began_at, error=f"{type(error).__name__}: {error}")


async def post_once(letter: Letter, timeout: float) -> Attempt:
    """One try outside the sender's thread."""
    async with open_client() as client:
        return await post(client, letter, timeout)


def sign(secret: str, body: bytes) -> str:
    """What a receiver compares with the Authorization header."""
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()

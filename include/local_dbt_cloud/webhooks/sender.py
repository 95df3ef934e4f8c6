"""Send the outbox in a separate thread, so that no run waits for a receiver.

A delivery leaves the outbox once its response is stored. If the server is killed before that, the
next start sends the delivery again with the same event id; later kills never repeat it.
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

from ..storage.store import Store
from ..times import now
from .outbox import (
    Attempt,
    PendingDelivery,
    delete_old_deliveries,
    due_deliveries,
    next_due,
    record_attempt,
)

if TYPE_CHECKING:
    import httpx

SENDER_STOP_SECONDS = 1.0
PAUSE_SECONDS = 1.0  # after an internal error
LOOPBACK = ("all://localhost", "all://127.0.0.1", "all://[::1]")

log = logging.getLogger(__name__)


class Sender:
    """Sends one delivery at a time per subscription, and all subscriptions concurrently.

    ``waits`` are the seconds before each further attempt, ``timeout`` is a receiver's limit.
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
            delete_old_deliveries(session)
        self._store.after_commit = self.wake
        self._thread.start()

    def wake(self) -> None:
        """Notify the thread of new deliveries; thread-safe."""
        with suppress(RuntimeError):  # the loop has ended; the next start sends them
            self._loop.call_soon_threadsafe(self._changed.set)

    def stop(self) -> None:
        """Stop the deliveries in progress; the next start sends them again."""
        self._stopping = True
        self.wake()
        self._thread.join(SENDER_STOP_SECONDS)

    def _work(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._send_all())

    async def _send_all(self) -> None:
        await self._wait()  # httpx is not imported before the first delivery
        if self._stopping:
            return
        async with open_client() as client:
            while not self._stopping:
                try:
                    await self._send_due(client)
                except SQLAlchemyError:  # may be temporary, such as a full disk
                    log.exception("Could not read the webhook outbox; trying again")
                    await asyncio.sleep(PAUSE_SECONDS)

    async def _send_due(self, client: httpx.AsyncClient) -> None:
        """Start the due deliveries, then wait for the next ones."""
        self._changed.clear()
        for delivery in self._due():
            task = asyncio.create_task(self._deliver(client, delivery))
            self._busy[delivery.subscription_number] = task
        await self._wait()

    def _due(self) -> list[PendingDelivery]:
        with self._store.read() as session:
            return due_deliveries(session, self._busy)

    async def _wait(self) -> None:
        """Wait for a change, or for the next due delivery."""
        with self._store.read() as session:
            moment = next_due(session, self._busy)
        seconds = max(0.0, (moment - now()).total_seconds()) if moment else None
        with suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), seconds)

    async def _deliver(self, client: httpx.AsyncClient, delivery: PendingDelivery) -> None:
        try:
            attempt = await post(client, delivery, self.timeout)
            with self._store.write() as session:
                record_attempt(session, delivery.number, attempt, self._waits)
        except Exception:
            log.exception("Webhook delivery %s failed in the local dbt Cloud", delivery.number)
            await asyncio.sleep(PAUSE_SECONDS)
        finally:
            del self._busy[delivery.subscription_number]
            self._changed.set()


def open_client() -> httpx.AsyncClient:
    """Return a client without proxies on loopback; importing httpx takes 0.2 s of a start."""
    import httpx

    return httpx.AsyncClient(timeout=None, mounts=dict.fromkeys(LOOPBACK))


async def post(client: httpx.AsyncClient, delivery: PendingDelivery, timeout: float) -> Attempt:
    """Make one attempt; errors are part of the result."""
    import httpx

    headers = {
        "Authorization": sign(delivery.secret, delivery.body),
        "Content-Type": "application/json",
        "User-Agent": "local-dbt-cloud",
    }
    began_at = now()
    try:
        async with (
            asyncio.timeout(timeout),
            client.stream("POST", delivery.url, content=delivery.body, headers=headers) as response,
        ):
            return Attempt(began_at, response.status_code)
    except TimeoutError:
        return Attempt(began_at, error=f"No response within {timeout:g} seconds.")
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, OSError) as error:
        return Attempt(began_at, error=f"{type(error).__name__}: {error}")


async def post_once(delivery: PendingDelivery, timeout: float) -> Attempt:
    """Make one attempt outside the sender's thread."""
    async with open_client() as client:
        return await post(client, delivery, timeout)


def sign(secret: str, body: bytes) -> str:
    """Return the signature that a receiver compares with the Authorization header."""
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()

"""A trigger that waits for a dbt Cloud run, and shares its poll with other waiting runs."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Hashable
from dataclasses import asdict, dataclass
from typing import Any

from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudJobRunStatus as Status

from ..airflow.compat import BaseEventTrigger, TriggerEvent
from ..api.async_client import AsyncDbtCloudClient
from ..api.responses import DbtCloudRefusedError, NoAnswerError, back_off
from ..api.runs import status_name
from .polling import TICK, Account, Poll, Silence, poll_for_ever, subscribed

CANCEL_TRIES = 5  # about half a minute, or longer with `Retry-After`
CANCELLING: set[asyncio.Task[None]] = set()  # references, since the event loop keeps none


@dataclass(frozen=True)
class Target:
    """A run to wait for, and its limits, in seconds; deadlines are since the epoch.

    Attributes:
        end_time: Ends the wait.
        execution_deadline: Ends the run.
        max_silence: The longest time with failed polls of the run.
        cancels: Whether the run is cancelled with the waiting task.
    """

    conn_id: str
    account_id: int
    run_id: int
    poll_interval: float
    end_time: float
    execution_deadline: float | None
    max_silence: float
    cancels: bool = True

    @property
    def seconds_left(self) -> float:
        """Return the seconds until the earlier deadline; negative after it."""
        return min(self.end_time, self.execution_deadline or math.inf) - time.time()


class DbtCloudRunTrigger(BaseEventTrigger):
    """Fires once: ``{"run_id": …, "outcome": …, "message": …}``.

    The outcome is ``ended`` after any end of the run, ``timeout`` after ``execution_deadline``,
    ``waited`` after ``end_time`` and ``silent`` after ``max_silence``. A failed poll never counts
    as the end of a run.

    All triggers of one connection and account share one poll, see
    https://airflow.apache.org/docs/apache-airflow/stable/authoring-and-scheduling/event-scheduling.html
    Needs Airflow 3.3.
    """

    def __init__(self, **target: Any) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow's has no types
        self.target = Target(**target)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return f"{type(self).__module__}.{type(self).__qualname__}", asdict(self.target)

    @property
    def account(self) -> Account:
        return Account(self.target.conn_id, self.target.account_id)

    def shared_stream_key(self) -> Hashable:
        return self.account

    @classmethod
    async def open_shared_stream(cls, kwargs: dict[str, Any]) -> AsyncIterator[Poll | None]:
        async for poll in poll_for_ever(Account(kwargs["conn_id"], kwargs["account_id"])):
            yield poll

    async def filter_shared_stream(
        self, shared_stream: AsyncIterator[Poll | None]
    ) -> AsyncIterator[TriggerEvent]:
        status, problem, silence = None, "", Silence()
        deadline = time.monotonic() + self.target.seconds_left
        with subscribed(self.account, self.target.run_id, self.target.poll_interval, deadline):
            async for poll in shared_stream:
                if poll:
                    before, status = status, poll.statuses.get(self.target.run_id, status)
                    problem = poll.problem
                    silence.update(is_good=self.target.run_id in poll.statuses)
                    if status != before:
                        self.log.info("Run %s is %s.", self.target.run_id, status_name(status))
                # Without a problem the poll at the deadline may still be under way.
                grace = 0.0 if poll or problem else TICK
                if event := self.event(status, silence.seconds, problem, grace):
                    yield event
                    return

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Run with a separate poll, without a triggerer, as in ``airflow dags test``."""
        async for event in self.filter_shared_stream(self.open_shared_stream(asdict(self.target))):
            yield event

    def event(
        self, status: int | None, silence: float, problem: str, grace: float = 0.0
    ) -> TriggerEvent | None:
        """Return the event to fire, if any; deadlines apply ``grace`` seconds later."""
        run, now = self.target.run_id, time.time() - grace
        if status in Status.TERMINAL_STATUSES.value:
            return self._event("ended", f"Run {run} has finished.")
        if self.target.execution_deadline and now > self.target.execution_deadline:
            return self._event("timeout", f"Run {run} took longer than execution_timeout.")
        if now > self.target.end_time:
            return self._event("waited", f"Run {run} is still running, but timeout has passed.")
        if silence > self.target.max_silence:
            reason = problem or "dbt Cloud does not list this run"
            waited = f"dbt Cloud returned no status of run {run} for {silence:.0f} s"
            return self._event("silent", f"{waited}: {reason}.")
        return None

    def _event(self, outcome: str, message: str) -> TriggerEvent:
        payload = {"run_id": self.target.run_id, "outcome": outcome, "message": message}
        return TriggerEvent(payload)  # type: ignore[no-untyped-call]  # Airflow's has no types

    async def on_kill(self) -> None:
        """Cancel the run after a user cleared or marked the task.

        Airflow does not call this when a triggerer stops, restarts or hands over. Airflow 3.3
        interrupts it after a second, since it repeats the call until the trigger ends. Therefore
        the cancellation runs in a separate ``asyncio`` task.
        """
        if not self.target.cancels:
            return
        cancelling = asyncio.create_task(self._cancel())
        CANCELLING.add(cancelling)
        cancelling.add_done_callback(CANCELLING.discard)
        await asyncio.shield(cancelling)

    async def _cancel(self) -> None:
        for tries in range(1, CANCEL_TRIES + 1):
            try:
                async with AsyncDbtCloudClient(
                    self.target.conn_id, self.target.account_id
                ) as client:
                    await client.cancel(self.target.run_id)
                self.log.info("Run %s was cancelled.", self.target.run_id)
                return
            except DbtCloudRefusedError as refusal:
                self.log.warning("Run %s was not cancelled: %s", self.target.run_id, refusal)
                return
            except NoAnswerError as error:
                self.log.warning("Run %s is not cancelled yet: %s", self.target.run_id, error)
                await asyncio.sleep(back_off(tries, error.retry_after))

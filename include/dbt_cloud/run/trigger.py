"""Waits for a dbt Cloud run in the triggerer, together with all other waiting runs."""

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
from ..api.runs import status_in_words
from .polling import TICK, Account, Poll, Silence, poll_for_ever, waiting

CANCEL_TRIES = 5  # about half a minute, or as long as dbt Cloud asks to wait
CANCELLING: set[asyncio.Task[None]] = set()  # the event loop itself keeps no task alive


@dataclass(frozen=True)
class Wait:
    """What to wait for, and how long. Times are in seconds, deadlines since the epoch.

    ``end_time`` ends the waiting, ``execution_deadline`` the run. ``max_silence`` is how long
    dbt Cloud may give no good answer about the run. ``cancels`` says whether the run ends with
    the waiting task.
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
        """Until the first of the two deadlines; negative once it has passed."""
        return min(self.end_time, self.execution_deadline or math.inf) - time.time()


class DbtCloudRunTrigger(BaseEventTrigger):
    """Fires once: ``{"run_id": …, "outcome": …, "message": …}``.

    The outcome is ``ended`` if the run has ended, however, ``timeout`` after the execution's
    deadline, ``waited`` after ``end_time`` and ``silent`` after ``max_silence``. A bad answer or
    none never counts as the end of a run.

    All triggers of one connection and account share one poll, see
    https://airflow.apache.org/docs/apache-airflow/stable/authoring-and-scheduling/event-scheduling.html
    Needs Airflow 3.3.
    """

    def __init__(self, **wait: Any) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow's has no types
        self.wait = Wait(**wait)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return f"{type(self).__module__}.{type(self).__qualname__}", asdict(self.wait)

    @property
    def account(self) -> Account:
        return Account(self.wait.conn_id, self.wait.account_id)

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
        deadline = time.monotonic() + self.wait.seconds_left
        with waiting(self.account, self.wait.run_id, self.wait.poll_interval, deadline):
            async for poll in shared_stream:
                if poll:
                    before, status = status, poll.statuses.get(self.wait.run_id, status)
                    problem = poll.problem
                    silence.update(is_good=self.wait.run_id in poll.statuses)
                    if status != before:
                        self.log.info("Run %s is %s.", self.wait.run_id, status_in_words(status))
                # Without a problem the poll at the deadline may still be under way.
                grace = 0.0 if poll or problem else TICK
                if event := self.event(status, silence.seconds, problem, grace):
                    yield event
                    return

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Without a triggerer, as ``airflow dags test`` runs it: a poll of its own."""
        async for event in self.filter_shared_stream(self.open_shared_stream(asdict(self.wait))):
            yield event

    def event(
        self, status: int | None, silence: float, problem: str, grace: float = 0.0
    ) -> TriggerEvent | None:
        """What there is to tell, if anything; ``grace`` seconds after a deadline."""
        run, now = self.wait.run_id, time.time() - grace
        if status in Status.TERMINAL_STATUSES.value:
            return self._event("ended", f"Run {run} has ended.")
        if self.wait.execution_deadline and now > self.wait.execution_deadline:
            return self._event("timeout", f"Run {run} took longer than execution_timeout.")
        if now > self.wait.end_time:
            return self._event("waited", f"Run {run} goes on, but timeout has passed.")
        if silence > self.wait.max_silence:
            reason = problem or "dbt Cloud does not list this run"
            waited = f"dbt Cloud said nothing about run {run} for {silence:.0f} s"
            return self._event("silent", f"{waited}: {reason}.")
        return None

    def _event(self, outcome: str, message: str) -> TriggerEvent:
        payload = {"run_id": self.wait.run_id, "outcome": outcome, "message": message}
        return TriggerEvent(payload)  # type: ignore[no-untyped-call]  # Airflow's has no types

    async def on_kill(self) -> None:
        """A user cleared the task or marked it: nobody wants the run any more.

        Airflow does not call this when a triggerer stops, restarts or hands over. Airflow 3.3
        interrupts it after a second, since it repeats the user's click until the trigger has ended:
        the cancelling goes on by itself.
        """
        if not self.wait.cancels:
            return
        cancelling = asyncio.create_task(self._cancel())
        CANCELLING.add(cancelling)
        cancelling.add_done_callback(CANCELLING.discard)
        await asyncio.shield(cancelling)

    async def _cancel(self) -> None:
        for tries in range(1, CANCEL_TRIES + 1):
            try:
                async with AsyncDbtCloudClient(self.wait.conn_id, self.wait.account_id) as client:
                    await client.cancel(self.wait.run_id)
                self.log.info("Run %s is cancelled.", self.wait.run_id)
                return
            except DbtCloudRefusedError as refusal:
                self.log.warning("Run %s was not cancelled: %s", self.wait.run_id, refusal)
                return
            except NoAnswerError as error:
                self.log.warning("Run %s is not cancelled yet: %s", self.wait.run_id, error)
                await asyncio.sleep(back_off(tries, error.retry_after))

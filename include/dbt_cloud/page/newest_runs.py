"""dbt Cloud's newest runs: one list call in a few seconds, however many people look."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Any

from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudHook

from ..airflow_compat import AirflowException
from ..client import DbtCloudClient

SECONDS = 5.0  # that an answer holds, be it good or bad
TIMEOUT = 5  # seconds that dbt Cloud has for one: people wait for the page
MOST = 100  # what dbt Cloud lists in one call
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Answer:
    """``problem`` is a sentence; the runs are then those of the last good answer."""

    runs: list[dict[str, Any]] = field(default_factory=list)
    problem: str = ""


class NewestRuns:
    """Of all jobs of the account, newest first, as dbt Cloud lists them with job and trigger."""

    def __init__(self, dbt_cloud_conn_id: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._conn_id = dbt_cloud_conn_id
        self._clock = clock
        self._asking = Lock()
        self._answer: Answer | None = None
        self._answered_at = 0.0

    def answer(self) -> Answer:
        """Whoever comes while somebody else asks gets the answer before, if there is one."""
        known = self._answer
        if known and self._clock() < self._answered_at + SECONDS:
            return known
        if not self._asking.acquire(blocking=known is None):
            return known or Answer()
        try:
            if self._answer is known:  # and nobody has asked while this one waited
                self._answer = self._ask(known or Answer())
                self._answered_at = self._clock()
            return self._answer or Answer()
        finally:
            self._asking.release()

    def _ask(self, before: Answer) -> Answer:
        try:
            hook = DbtCloudHook(self._conn_id, timeout_seconds=TIMEOUT)
            client = DbtCloudClient(hook, None, patience=0)
            related = "job,trigger"
            runs = client.get("runs/", order_by="-id", limit=MOST, include_related=related)
            return Answer(runs or [])
        except (AirflowException, ValueError) as error:
            log.warning(
                "dbt Cloud, as the connection %s says, is not reached: %s", self._conn_id, error
            )
            return replace(before, problem=f"{error}".strip() or type(error).__name__)

"""dbt Cloud's newest runs: one list call in a few seconds, however many people look."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudHook

from ..airflow.compat import AirflowException
from ..api.client import DbtCloudClient
from ..reports.accounts import Account

SECONDS = 5.0  # that an answer holds, be it good or bad
TIMEOUT = 5  # seconds that dbt Cloud has for one: people wait for the page
MOST = 100  # what dbt Cloud lists in one call
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Answer:
    """``problem`` is a sentence; the runs are then those of the account's last good answer.

    ``account`` is the one that the connection names; None if it cannot be read.
    """

    runs: list[dict[str, Any]] = field(default_factory=list)
    problem: str = ""
    account: Account | None = None


class NewestRuns:
    """Of all jobs of the account, newest first, as dbt Cloud lists them with job and trigger.

    Without an account id it is the connection's login. The connection is read for each answer.
    """

    def __init__(
        self,
        dbt_cloud_conn_id: str,
        account_id: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._conn_id = dbt_cloud_conn_id
        self._account_id = account_id
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
        account = None
        try:
            hook = DbtCloudHook(self._conn_id, timeout_seconds=TIMEOUT)
            client = DbtCloudClient(hook, self._account_id, patience=0)
            account = Account.of(hook, client)
            related = "job,trigger"
            runs = client.get("runs/", order_by="-id", limit=MOST, include_related=related)
            return Answer(runs or [], account=account)
        except (AirflowException, ValueError) as error:
            log.warning(
                "dbt Cloud, as the connection %s says, is not reached: %s", self._conn_id, error
            )
            known = before.runs if before.account == account else []
            return Answer(known, f"{error}".strip() or type(error).__name__, account)

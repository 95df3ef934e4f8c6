"""dbt Cloud's newest runs and its jobs, cached for a few seconds for all viewers."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Any

from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudHook

from ..airflow.compat import AirflowException
from ..api.accounts import Account
from ..api.client import DbtCloudClient
from ..api.runs import PAGE
from .job_list import JobList, JobListReader

SECONDS = 5.0  # lifetime of a good or failed result
TIMEOUT = 5  # seconds per call, since a person waits for the page
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RecentRuns:
    """The account's newest runs; with a ``problem`` they are those of the last good result.

    ``account`` is the connection's; None if it cannot be read. ``listed`` are all its jobs; their
    list has a problem of its own.
    """

    runs: list[dict[str, Any]] = field(default_factory=list)
    problem: str = ""
    account: Account | None = None
    listed: JobList = field(default_factory=JobList)


class NewestRuns:
    """Reads the newest runs of all jobs of the account, with job and trigger.

    The default account is the connection's login. The connection is read for each call.
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
        self._calling = Lock()
        self._jobs = JobListReader(clock)
        self._cached: RecentRuns | None = None
        self._cached_at = 0.0

    def read(self) -> RecentRuns:
        """Return the newest runs; during another thread's call, return the previous ones."""
        cached = self._cached
        if cached and self._clock() < self._cached_at + SECONDS:
            return cached
        if not self._calling.acquire(blocking=cached is None):
            return cached or RecentRuns()
        try:
            if self._cached is cached:  # no other thread has called meanwhile
                self._cached = self._call(cached or RecentRuns())
                self._cached_at = self._clock()
            return self._cached or RecentRuns()
        finally:
            self._calling.release()

    def _call(self, before: RecentRuns) -> RecentRuns:
        account = None
        try:
            hook = DbtCloudHook(self._conn_id, timeout_seconds=TIMEOUT)
            client = DbtCloudClient(hook, self._account_id, retry_seconds=0)
            account = client.account
            related = "job,trigger"
            runs = client.get("runs/", order_by="-id", limit=PAGE, include_related=related)
            listed = self._jobs.read(hook, client)
            return RecentRuns(runs or [], account=account, listed=listed)
        except (AirflowException, ValueError) as error:
            log.warning("Could not read runs by connection %s: %s", self._conn_id, error)
            problem = f"{error}".strip() or type(error).__name__
            if before.account == account:
                return replace(before, problem=problem)
            return RecentRuns([], problem, account)

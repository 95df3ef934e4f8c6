"""The accounts of the page: those of its connections, each once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlencode

from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudHook
from fastapi import HTTPException

from ..api.accounts import Account
from ..api.client import DbtCloudClient
from ..reports.history import History
from .newest_runs import TIMEOUT, NewestRuns, RecentRuns

T = TypeVar("T")


@dataclass(frozen=True)
class ShownAccount:
    """A connection's account with its newest and stored runs.

    ``account`` and ``history`` are None if the connection cannot be read.
    """

    conn_id: str
    recent: RecentRuns
    history: History | None
    query: str  # of links to its pages; empty if the page has only one connection

    @property
    def account(self) -> Account | None:
        return self.recent.account

    def __str__(self) -> str:
        return f"{self.conn_id} ({self.account})"

    def client(self) -> DbtCloudClient:
        """Return a client that does not retry, since a person waits for the page."""
        hook = DbtCloudHook(self.conn_id, timeout_seconds=TIMEOUT)
        return DbtCloudClient(hook, self.account.id if self.account else None, retry_seconds=0)


class Accounts:
    """Reads the accounts of several connections at the same time."""

    def __init__(self, history: Any, conn_ids: Sequence[str], account_id: int | None) -> None:
        if not conn_ids:
            raise ValueError("The page needs at least one connection to dbt Cloud.")
        if account_id and len(conn_ids) > 1:
            raise ValueError(
                f"account_id={account_id} is for a page with one connection: set it as the login "
                "of its connection."
            )
        self._history = history
        self._newest_runs = {conn_id: NewestRuns(conn_id, account_id) for conn_id in conn_ids}

    def read(self, conn_id: str = "") -> list[ShownAccount]:
        """Return the accounts of all connections, or of one.

        Raises:
            HTTPException: The page has no such connection, or no account can be read.
        """
        if conn_id and conn_id not in self._newest_runs:
            raise HTTPException(404, f"This page has no connection {conn_id}.")
        conn_ids = [conn_id] if conn_id else [*self._newest_runs]
        with ThreadPoolExecutor(len(conn_ids)) as threads:
            shown = list(threads.map(self._read_one, conn_ids))
        if not any(one.account for one in shown):
            problems = " ".join(one.recent.problem for one in shown)
            raise HTTPException(503, f"Could not read which account to show: {problems}")
        # Of two connections to one account, show one that can read it.
        known: dict[Account, ShownAccount] = {}
        for one in sorted(shown, key=lambda one: bool(one.recent.problem)):
            if one.account:
                known.setdefault(one.account, one)
        return [one for one in shown if one.account is None or known[one.account] is one]

    def find(
        self,
        conn_id: str,
        look: Callable[[ShownAccount, History], T | None],
        what: str,
        none: str,
    ) -> tuple[ShownAccount, T]:
        """Return the only account in which a job, run or project is found, and what is found.

        Raises:
            HTTPException: No account has it, or several have one with this id.
        """
        found = [
            (shown, one)
            for shown in self.read(conn_id)
            if shown.history and (one := look(shown, shown.history)) is not None
        ]
        if not found:
            raise HTTPException(404, f"{what} {none}")
        if len(found) > 1:
            places = " and ".join(f"{shown}" for shown, _ in found)
            raise HTTPException(
                409,
                f"{what} exists in {places}: open it from the list of jobs, or add "
                f"{found[0][0].query} to the address.",
            )
        return found[0]

    def _read_one(self, conn_id: str) -> ShownAccount:
        recent = self._newest_runs[conn_id].read()
        history = History(recent.account.folder_below(self._history)) if recent.account else None
        query = f"?{urlencode({'connection': conn_id})}" if len(self._newest_runs) > 1 else ""
        return ShownAccount(conn_id, recent, history, query)

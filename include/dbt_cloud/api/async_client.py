"""The triggerer's client of dbt Cloud's API: one connection for many waiting runs."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

import aiohttp
from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudHook

from ..airflow.compat import get_async_connection, get_async_extra_dejson
from .accounts import Account
from .client import account_of, proxies_of
from .responses import DbtCloudRefusedError, NoAnswerError, read_data

CALL_SECONDS = 30


class AsyncDbtCloudClient:
    """Calls the account's part of the API. The caller retries failed calls.

    Args:
        conn_id: The connection to dbt Cloud.
        account_id: By default the connection's login.
    """

    def __init__(self, conn_id: str, account_id: int | None = None) -> None:
        self._conn_id = conn_id
        self._account_id = account_id

    async def __aenter__(self) -> Self:
        headers, host = await DbtCloudHook(self._conn_id).get_headers_tenants_from_connection()
        connection = await get_async_connection(self._conn_id)
        proxies = proxies_of(connection, await get_async_extra_dejson(connection))
        account_id = account_of(connection, self._account_id)
        self._url, self._called_account = f"https://{host}/", account_id
        self._address = f"{self._url}api/v2/accounts/{account_id}/"
        self._session = aiohttp.ClientSession(
            headers=headers,
            proxy=proxies.get("https"),
            timeout=aiohttp.ClientTimeout(total=CALL_SECONDS),
            trust_env=True,  # as the tasks' calls do
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._session.close()

    @property
    def account(self) -> Account:
        """Return the account that this client calls; raise ``ValueError`` for an invalid host."""
        return Account.at(self._url, self._called_account)

    async def get(self, path: str, **params: Any) -> Any:
        """Return the ``data`` of the response, or the whole JSON of an artifact."""
        return await self._call("GET", path, params)

    async def statuses(self, run_ids: list[int]) -> dict[int, int]:
        """Return run id → status of at most 100 runs; omit runs that dbt Cloud refuses."""
        query = {"pk__in": f"{run_ids}", "limit": len(run_ids)}
        found = {run["id"]: run["status"] for run in await self._call("GET", "runs/", query)}
        for run_id in set(run_ids) - found.keys():
            try:
                found[run_id] = (await self._call("GET", f"runs/{run_id}/"))["status"]
            except DbtCloudRefusedError:
                continue
        return {run_id: found[run_id] for run_id in run_ids if run_id in found}

    async def cancel(self, run_id: int) -> None:
        await self._call("POST", f"runs/{run_id}/cancel/")

    async def _call(self, method: str, path: str, params: dict[str, Any] | None = None) -> Any:
        """Call once; raise ``DbtCloudRefusedError`` or ``NoAnswerError``."""
        try:
            call = self._session.request(method, self._address + path, params=params)
            async with call as response:
                body = await response.read()
        except (aiohttp.ClientError, OSError) as error:  # a TimeoutError is an OSError
            reason = f"{type(error).__name__} {error}".strip()
            raise NoAnswerError(f"dbt Cloud did not respond: {reason}") from None
        return read_data(path, response.status, response.headers, body)

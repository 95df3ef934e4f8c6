"""The doctor's client for dbt Cloud."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import aiohttp

from include.local_airflow.airflow.dbt_cloud_hook import ConnectedHook

RESPONSE_TIMEOUT = 10  # seconds


class Service:
    """dbt Cloud with the host, token and proxies of the provider's hook."""

    def __init__(self, connection: Any) -> None:
        hook = ConnectedHook(connection)
        self.session = hook.get_conn()
        self.session.proxies = connection.extra_dejson.get("proxies") or {}
        self.conn_id = connection.conn_id
        self.url = str(hook.base_url)
        self.host = urlsplit(self.url).netloc
        self.listed: set[int] = set()  # accounts whose jobs have been printed

    def get(self, path: str, api: str = "v2", **params: Any) -> tuple[int, Any]:
        """Return status and ``data``; no data if the response is not dbt Cloud's.

        Raises:
            OSError: there is no response.
        """
        url = f"{self.url}api/{api}/accounts/{path}"
        response = self.session.get(url, params=params, timeout=RESPONSE_TIMEOUT)
        try:
            return response.status_code, response.json()["data"]
        except (ValueError, KeyError, TypeError):
            return response.status_code, None

    async def call_as_triggerer(self) -> None:
        """Send a request as the triggerer does; raise ``ClientError`` or ``OSError``."""
        limit = aiohttp.ClientTimeout(total=RESPONSE_TIMEOUT)
        proxy = self.session.proxies.get("https")
        async with (
            aiohttp.ClientSession(timeout=limit) as session,
            session.get(self.url, proxy=proxy),
        ):
            pass

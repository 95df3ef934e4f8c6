"""dbt Cloud as the doctor asks it."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import aiohttp

from include.local_airflow.airflow.dbt_cloud_hook import ConnectedHook

SECONDS = 10  # for one answer


class Service:
    """dbt Cloud by the provider's hook: its host, token and proxies."""

    def __init__(self, connection: Any) -> None:
        hook = ConnectedHook(connection)
        self.session = hook.get_conn()
        self.session.proxies = connection.extra_dejson.get("proxies") or {}
        self.url = str(hook.base_url)
        self.host = urlsplit(self.url).netloc
        self.listed: set[int] = set()  # accounts whose jobs have been named

    def get(self, path: str, api: str = "v2", **params: Any) -> tuple[int, Any]:
        """Return status and `data`, or no data if it is not dbt Cloud's answer.

        Raises:
            OSError: there is no answer.
        """
        url = f"{self.url}api/{api}/accounts/{path}"
        answer = self.session.get(url, params=params, timeout=SECONDS)
        try:
            return answer.status_code, answer.json()["data"]
        except (ValueError, KeyError, TypeError):
            return answer.status_code, None

    async def call_as_triggerer(self) -> None:
        """Raise aiohttp's error or an OSError if the triggerer's library fails."""
        limit = aiohttp.ClientTimeout(total=SECONDS)
        proxy = self.session.proxies.get("https")
        async with (
            aiohttp.ClientSession(timeout=limit) as session,
            session.get(self.url, proxy=proxy),
        ):
            pass

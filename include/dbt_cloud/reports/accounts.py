"""The account of stored files, since two dbt Clouds can have runs with the same id."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import quote, urlsplit

from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudHook

from ..api.client import DbtCloudClient


@dataclass(frozen=True)
class Account:
    """An account of a dbt Cloud.

    ``host`` is normalized: without capitals, trailing dot or slash, and default port.
    """

    host: str
    id: int

    @classmethod
    def of(cls, hook: DbtCloudHook, client: DbtCloudClient) -> Self:
        """Return the account that ``client``, made with ``hook``, calls.

        Raises:
            ValueError: The connection's host is invalid.
        """
        address = urlsplit(hook.base_url)
        host = re.sub(r"\.+(?=:|$)", "", address.netloc.lower()).removesuffix(":443")
        return cls(host + address.path.rstrip("/"), client.account_id)

    def folder_below(self, folder: Any) -> Any:
        """Return ``FOLDER/HOST/ACCOUNT_ID``; ``folder`` is an ObjectStoragePath.

        The colon before a port becomes ``_``; other special characters are escaped.
        """
        name = quote(self.host, safe="").replace("_", "%5F").replace("%3A", "_")
        return folder / name / str(self.id)


def client_and_folder(
    folder: Any, dbt_cloud_conn_id: str, account_id: int | None
) -> tuple[DbtCloudClient, Any]:
    """Return a client, and the folder of its account below an ObjectStoragePath."""
    hook = DbtCloudHook(dbt_cloud_conn_id)
    client = DbtCloudClient(hook, account_id)
    return client, Account.of(hook, client).folder_below(folder)

"""An account of a dbt Cloud, since jobs and runs of two accounts can have the same ids."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import quote, urlsplit


@dataclass(frozen=True)
class Account:
    """An account of a dbt Cloud.

    ``host`` is normalized: without capitals, trailing dot or slash, and default port.
    """

    host: str
    id: int

    @classmethod
    def at(cls, url: str, account_id: int) -> Self:
        """Return the account of the dbt Cloud at ``url``.

        Raises:
            ValueError: The URL's host is invalid.
        """
        address = urlsplit(url)
        host = re.sub(r"\.+(?=:|$)", "", address.netloc.lower()).removesuffix(":443")
        return cls(host + address.path.rstrip("/"), account_id)

    def __str__(self) -> str:
        return f"account {self.id} on {self.host}"

    def folder_below(self, folder: Any) -> Any:
        """Return ``FOLDER/HOST/ACCOUNT_ID``; ``folder`` is an ObjectStoragePath.

        The colon before a port becomes ``_``; other special characters are escaped.
        """
        name = quote(self.host, safe="").replace("_", "%5F").replace("%3A", "_")
        return folder / name / str(self.id)

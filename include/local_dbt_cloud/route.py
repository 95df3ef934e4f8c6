"""One row of the route table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from include.local_dbt_cloud.query import Listing

V2 = "/api/v2/accounts/{account_id}"
V3 = "/api/v3/accounts/{account_id}"


@dataclass(frozen=True)
class Route:
    """Paths are written without the trailing slash; requests may have it or not.

    ``body`` is what the handler reads, ``listing`` how its list can be filtered and ``code``
    its success: they describe the endpoint in ``/openapi.json``.
    """

    method: str
    path: str
    handler: Callable[..., Any]
    body: type[BaseModel] | None = None
    listing: Listing | None = None
    code: int = 200

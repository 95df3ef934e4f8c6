"""One row of the route table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from include.local_dbt_cloud.query import Listing, many

V2 = "/api/v2/accounts/{account_id}"
V3 = "/api/v3/accounts/{account_id}"


@dataclass(frozen=True)
class Route:
    """Paths are written without the trailing slash; requests may have it or not.

    ``body`` is what the handler reads, ``listing`` how its list can be filtered, ``query`` what
    other parameters it has and ``code`` its success: they are for ``/openapi.json``.
    """

    method: str
    path: str
    handler: Callable[..., Any]
    body: type[BaseModel] | None = None
    listing: Listing | None = None
    query: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    code: int = 200


def related(*names: str) -> dict[str, Mapping[str, Any]]:
    """What ``include_related`` can ask for."""
    return {"include_related": many({"type": "string", "enum": list(names)})}

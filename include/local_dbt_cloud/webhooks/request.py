"""The body that creates or replaces a subscription."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from include.local_dbt_cloud.definitions import Definition, Id

EventType = Literal["job.run.started", "job.run.completed", "job.run.errored"]


def reachable_url(url: str) -> str:
    """Returns the URL unchanged; raises ValueError for one that no event can be sent to.

    Plain http only stays on this machine: loopback addresses, and names without a dot, such as
    that of another container.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or not url.isprintable():
        raise ValueError("must be an http or https URL")
    if " " in url or parts.port == 0:
        raise ValueError("must be an http or https URL")
    if parts.scheme == "http" and not _is_local(parts.hostname):
        raise ValueError("must be an https URL, plain http only reaches this machine")
    return url


class SubscriptionRequest(Definition):
    """``job_ids`` may be numbers or text; an empty list means every job."""

    name: str = Field(min_length=1, max_length=255)
    client_url: Annotated[str, Field(max_length=2048), AfterValidator(reachable_url)]
    event_types: list[EventType] = Field(min_length=1)
    active: bool
    description: str | None = None
    job_ids: list[Id | Annotated[str, Field(pattern=r"^[0-9]{1,19}$")]] | None = None

    def columns(self) -> dict[str, object]:
        """What of a subscription's row the request decides."""
        return {
            "name": self.name,
            "client_url": self.client_url,
            "event_types": list(dict.fromkeys(self.event_types)),
            "active": self.active,
            "description": self.description or "",
            "job_ids": [str(job_id) for job_id in self.job_ids or []],
        }


def _is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return "." not in host

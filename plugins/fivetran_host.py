"""Lets the host of a Fivetran connection say where Fivetran is, which the local Fivetran needs.

The provider calls api.fivetran.com whatever the connection says. A connection without a host still
goes there, so this file changes nothing for a real account.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

FIVETRAN = "api.fivetran.com"


def host_of_connection(hook: Any) -> str:
    """Return the connection's host; the hook has read the connection before it makes a URL."""
    return getattr(hook.fivetran_conn, "host", None) or FIVETRAN


with suppress(ImportError):  # a project without the provider has nothing to change
    from fivetran_provider_async.hooks import FivetranHook

    FivetranHook.api_host = property(host_of_connection)  # type: ignore[assignment]  # was a constant

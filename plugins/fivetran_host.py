"""Use the host of a Fivetran connection, which the local Fivetran needs.

The provider always calls api.fivetran.com. A connection without a host still uses it, so this file
does not affect a real account.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

FIVETRAN = "api.fivetran.com"


def host_of_connection(hook: Any) -> str:
    """Return the connection's host; the hook reads the connection before it builds a URL."""
    return getattr(hook.fivetran_conn, "host", None) or FIVETRAN


with suppress(ImportError):  # without the provider
    from fivetran_provider_async.hooks import FivetranHook

    FivetranHook.api_host = property(host_of_connection)  # type: ignore[assignment]  # was a constant

"""Lets an ASGI application get at the connection of a call, which ASGI itself does not offer."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.auto import AutoHTTPProtocol

TRANSPORT = "local_dbt_cloud.transport"


class ConnectionProtocol(AutoHTTPProtocol):  # type: ignore[valid-type,misc]  # httptools or h11, whichever there is
    """uvicorn's own HTTP protocol; each call's scope knows its transport."""

    app: ASGIApp

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        app = self.app

        async def with_transport(scope: Scope, receive: Receive, send: Send) -> None:
            extensions = {**scope.get("extensions", {}), TRANSPORT: transport}
            await app({**scope, "extensions": extensions}, receive, send)

        self.app = with_transport


def transport_of(scope: Scope) -> asyncio.Transport:
    transport: asyncio.Transport = scope["extensions"][TRANSPORT]
    return transport

"""The connection of a call, which ASGI itself does not offer, and calls that are no HTTP."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from include.local_dbt_cloud.api.envelope import failure
from include.local_dbt_cloud.api.errors import InvalidRequestError

TRANSPORT = "local_dbt_cloud.transport"


class HttpProtocol(AutoHTTPProtocol):  # type: ignore[valid-type,misc]  # httptools or h11, whichever there is
    """uvicorn's own HTTP protocol; each call's scope knows its transport."""

    app: ASGIApp
    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        app = self.app

        async def with_transport(scope: Scope, receive: Receive, send: Send) -> None:
            extensions = {**scope.get("extensions", {}), TRANSPORT: transport}
            await app({**scope, "extensions": extensions}, receive, send)

        self.app = with_transport

    def send_400_response(self, msg: str) -> None:
        """What is not even HTTP gets the envelope too, instead of uvicorn's plain text."""
        body = bytes(failure(InvalidRequestError(msg)).body)
        head = f"HTTP/1.1 400 Bad Request\r\ncontent-length: {len(body)}\r\n"
        fields = "content-type: application/json\r\nconnection: close\r\n\r\n"
        self.transport.write(f"{head}{fields}".encode() + body)
        self.transport.close()


def transport_of(scope: Scope) -> asyncio.Transport:
    transport: asyncio.Transport = scope["extensions"][TRANSPORT]
    return transport

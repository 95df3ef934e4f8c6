"""Access to a call's connection, which ASGI does not give, and responses to malformed HTTP."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from .envelope import failure
from .errors import InvalidRequestError

TRANSPORT = "local_dbt_cloud.transport"


class HttpProtocol(AutoHTTPProtocol):  # type: ignore[valid-type,misc]  # httptools or h11, whichever is installed
    """uvicorn's own HTTP protocol, which adds its transport to each call's scope."""

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
        """Send malformed HTTP the envelope, instead of uvicorn's plain text."""
        body = bytes(failure(InvalidRequestError(msg)).body)
        head = f"HTTP/1.1 400 Bad Request\r\ncontent-length: {len(body)}\r\n"
        fields = "content-type: application/json\r\nconnection: close\r\n\r\n"
        self.transport.write(f"{head}{fields}".encode() + body)
        self.transport.close()


def transport_of(scope: Scope) -> asyncio.Transport:
    transport: asyncio.Transport = scope["extensions"][TRANSPORT]
    return transport

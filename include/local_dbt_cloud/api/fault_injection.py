"""Inject faults into calls, down to the TCP connection."""

from __future__ import annotations

import asyncio

from fastapi.responses import HTMLResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .envelope import failure
from .errors import (
    AccessDeniedError,
    ApiError,
    InvalidRequestError,
    InvalidTokenError,
    NotFoundError,
    TooManyRequestsError,
)
from .faults import Fault, Faults
from .http_protocol import transport_of

EXEMPT = frozenset({"/faults", "/reset"})
REFUSALS: dict[str, type[ApiError]] = {
    "400": InvalidRequestError,
    "401": InvalidTokenError,
    "403": AccessDeniedError,
    "404": NotFoundError,
}
UNAVAILABLE = "<html><body><h1>503 Service Unavailable</h1></body></html>\n"


class FaultInjection:
    """Runs after the token check: a call without the token neither triggers nor uses up a fault."""

    def __init__(self, app: ASGIApp, faults: Faults) -> None:
        self._app = app
        self._faults = faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        fault = None
        if scope["type"] == "http" and scope["path"] not in EXEMPT:
            fault = self._faults.take(scope["method"], scope["path"])
        if fault:
            await self._inject(fault, scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _inject(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
        match fault.kind:
            case kind if kind in REFUSALS:
                await failure(REFUSALS[kind]())(scope, receive, send)
            case "429":
                headers = {"Retry-After": f"{fault.seconds:.0f}"}
                await failure(TooManyRequestsError(), headers)(scope, receive, send)
            case "500":
                await failure(ApiError())(scope, receive, send)
            case "503":
                await HTMLResponse(UNAVAILABLE, 503)(scope, receive, send)
            case "slow":
                await asyncio.sleep(fault.seconds)
                await self._app(scope, receive, send)
            case "truncate":
                await self._truncate(scope, receive, send)
            case "close-before":
                await abort(scope, receive)
            case "close-after":
                await self._app(scope, receive, discard)
                await abort(scope, receive)

    async def _truncate(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the headers and half of the first body part, then close the connection."""
        is_cut = False

        async def send_half(message: Message) -> None:
            nonlocal is_cut
            if message["type"] == "http.response.body" and not is_cut:
                is_cut = True
                body = message.get("body", b"")
                message = {**message, "body": body[: len(body) // 2], "more_body": True}
                await send(message)
            elif not is_cut:
                await send(message)

        await self._app(scope, receive, send_half)
        transport_of(scope).close()
        await wait_for_disconnect(receive)


async def abort(scope: Scope, receive: Receive) -> None:
    """Close the connection without a response."""
    transport_of(scope).abort()
    await wait_for_disconnect(receive)


async def wait_for_disconnect(receive: Receive) -> None:
    """Wait for the disconnect; otherwise uvicorn logs that the call got no response."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def discard(_message: Message) -> None:
    """Drop a part of the response; stands in for ``send``."""

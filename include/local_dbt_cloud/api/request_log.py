"""One line per request on stderr, which ``--log-requests`` turns on."""

from __future__ import annotations

import logging

from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger(__name__)


class RequestLog:
    """Logs method, path and status of each request when it has ended.

    Queries, headers and bodies are left out: they can have tokens and passwords. The path is logged
    as it was sent, still encoded, so that it has no line breaks.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        log.setLevel(logging.INFO)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status: int | str = "no response"  # an injected fault, or a client that left

        async def send_and_keep_status(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self._app(scope, receive, send_and_keep_status)
        finally:
            log.info("%s %s %s", scope["method"], scope["raw_path"].decode("latin-1"), status)

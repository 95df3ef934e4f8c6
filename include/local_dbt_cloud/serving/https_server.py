"""The port and the TLS server of a local server."""

from __future__ import annotations

import logging
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .certificates import Certificates

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "::1", "localhost"})
ANY_HOST = frozenset({"0.0.0.0", "::"})  # to listen on, not to call


class StartError(Exception):
    """The server cannot start; the message has the reason and the next step."""


def listen(host: str, port: int) -> socket.socket:
    """Bind the port before the slow parts of the start; raise StartError on failure."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=2048)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise StartError(
            f"Port {port} on {host} cannot be used: {reason}. "
            "Stop the program that uses it, or choose another port with --port."
        ) from None
    # Its connections inherit it; asyncio sets it only for sockets that name their protocol. Without
    # it each response on a kept connection waits 40 ms for the client's acknowledgement.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def serve(app: Any, listener: socket.socket, certificates: Certificates, **options: Any) -> None:
    """Serve requests until SIGTERM or Ctrl-C; ``options`` are uvicorn's."""
    import uvicorn  # with FastAPI most of the startup time

    config = uvicorn.Config(
        app,
        ssl_certfile=certificates.server,
        ssl_keyfile=str(certificates.server_key),
        access_log=False,
        log_level="warning",
        timeout_graceful_shutdown=1,  # seconds
        timeout_keep_alive=75,  # seconds; uvicorn's 5 race with clients that poll every 5 seconds
        server_header=False,
        **options,
    )
    logging.getLogger("uvicorn.error").addFilter(is_about_requests)
    with suppress(KeyboardInterrupt):  # uvicorn raises it again once it has ended
        uvicorn.Server(config).run(sockets=[listener])


def is_about_requests(record: logging.LogRecord) -> bool:
    """Return whether a message of uvicorn is more than that clients kept idle connections."""
    return not record.getMessage().startswith("Cancel 0 ")

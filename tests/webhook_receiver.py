"""A webhook receiver on loopback, which stores requests and returns the given status codes."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

WAIT_SECONDS = 60.0


@dataclass(frozen=True)
class Received:
    signature: str
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        event: dict[str, Any] = json.loads(self.body)
        return event

    @property
    def summary(self) -> tuple[str, str, int]:
        """Return event type, status and status code of the run."""
        data = self.event["data"]
        return self.event["eventType"], data["runStatus"], data["runStatusCode"]


class WebhookReceiver:
    """``status_codes`` are the next status codes, then 200; ``hang`` stops all responses."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.status_codes: list[int] = []
        self.hang = threading.Event()
        self._changed = threading.Condition()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.hang.clear()
        self._server.shutdown()
        self._server.server_close()

    def wait(self, count: int) -> list[Received]:
        """Return the received requests once there are ``count`` of them."""
        with self._changed:
            arrived = self._changed.wait_for(lambda: len(self.received) >= count, WAIT_SECONDS)
        assert arrived, [one.summary for one in self.received]
        return list(self.received)

    def accept(self, received: Received) -> int | None:
        """Store a request and return its status code; None for no response."""
        with self._changed:
            self.received.append(received)
            self._changed.notify_all()
        if self.hang.is_set():
            while self.hang.is_set():
                time.sleep(0.05)
            return None
        return self.status_codes.pop(0) if self.status_codes else 200

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                code = receiver.accept(Received(self.headers["Authorization"], body))
                if code:
                    self.send_response(code)
                    self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        return Handler

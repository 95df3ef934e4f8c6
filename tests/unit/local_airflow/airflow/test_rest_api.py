"""The launcher's client, with an API server that returns no token."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from include.local_airflow.airflow.rest_api import AirflowApi
from include.local_dbt_cloud.testing import free_port


@pytest.mark.parametrize(
    ("code", "body", "asks"),
    [
        (201, b'{"access_token": "x"}', False),
        (403, b'{"detail": "all admins only"}', True),
        (405, b'{"detail": "Method Not Allowed"}', True),
        (200, b"<h1>Log in</h1>", True),
        (503, b"", False),
    ],
)
def test_asks_for_login_depends_on_the_token_response(code: int, body: bytes, asks: bool) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(code)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        assert AirflowApi(server.server_port).asks_for_login() == asks


def test_asks_for_login_is_false_for_an_unreachable_server() -> None:
    assert not AirflowApi(free_port()).asks_for_login()

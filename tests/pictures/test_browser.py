"""The browser of the pictures waits for a page, clicks and takes a picture."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from PIL import Image

from tests.pictures.browser import BrowserError, browser, needs_browser

PAGE = """data:text/html,<body style="background:rgb(255,0,0)"><script>
setTimeout(() => document.body.append('at last'), 300)</script>"""


class SlowScript(BaseHTTPRequestHandler):
    """A page whose script arrives a second after its text."""

    def do_GET(self) -> None:
        is_script = self.path == "/slow.js"
        time.sleep(is_script)
        self.send_response(200)
        self.send_header("Content-Type", "text/javascript" if is_script else "text/html")
        self.end_headers()
        script = b"document.title = 'script has run';"
        self.wfile.write(script if is_script else b"<p>Text<script defer src=slow.js></script>")


@pytest.fixture
def slow_page() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), SlowScript) as server:
        Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@needs_browser
def test_browser_waits_for_the_scripts_of_a_page(slow_page: str) -> None:
    with browser() as page:
        page.open(slow_page, "Text")

        assert page.evaluate("document.title") == "script has run"


@needs_browser
def test_browser_waits_for_text_and_takes_a_picture() -> None:
    with browser() as page:
        page.size(200, 100)
        page.open(PAGE, "at last")
        assert page.evaluate("document.body.innerText") == "at last"
        page.evaluate("document.body.style.background = 'rgb(0,0,255)'")
        with Image.open(io.BytesIO(page.picture())) as image:
            assert image.size == (200, 100)
            assert image.convert("RGB").getpixel((190, 90)) == (0, 0, 255)
        with pytest.raises(BrowserError, match="rejected No"):
            page.command("No.such")


def test_browser_reports_that_chromium_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/missing")

    with (
        pytest.raises(BrowserError, match=r"Chromium is not installed: install it .*chromium"),
        browser(),
    ):
        pass

"""The browser of the pictures waits for a page, clicks and takes a picture."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from tests.pictures.browser import BrowserError, browser, needs_browser

PAGE = """data:text/html,<body style="background:rgb(255,0,0)"><script>
setTimeout(() => document.body.append('at last'), 300)</script>"""


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

"""A headless Chromium, driven over its DevTools protocol.

https://chromedevtools.github.io/devtools-protocol/ lists the commands.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.sync.client import ClientConnection, connect

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PATIENCE = 60.0  # seconds, for a busy machine
FRAMES = "[...document.querySelectorAll('iframe')].map(frame => frame.contentDocument)"
# Pictures look alike, whether or not the machine has Arial's and Helvetica's usual stand-in.
FONTS = """<fontconfig><include>/etc/fonts/fonts.conf</include><selectfont><rejectfont>
<glob>*/Liberation*</glob></rejectfont></selectfont></fontconfig>"""
SHOWN = f"[document, ...{FRAMES}].map(one => one?.body?.innerText ?? '').join()"


class BrowserError(Exception):
    """What is missing, and what to do about it."""


def needs_browser(test: Callable[..., None]) -> Callable[..., None]:
    """Mark a test that is skipped without Chromium, and so belongs to `make test-all`."""
    skips = pytest.mark.skipif(
        not any(map(shutil.which, PROGRAMS)),
        reason="there is no Chromium: apt-get install chromium",
    )
    marked: Callable[..., None] = pytest.mark.slow(skips(test))
    return marked


@dataclass
class Page:
    """One tab."""

    socket: ClientConnection
    numbers: Iterator[int] = field(default_factory=count)
    mouse: tuple[float, float] = (640.0, 400.0)

    def command(self, method: str, **params: Any) -> dict[str, Any]:
        number = next(self.numbers)
        self.socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:  # events come in between
            answer = json.loads(self.socket.recv(PATIENCE))
            if answer.get("id") == number:
                break
        if "error" in answer:
            raise BrowserError(f"Chromium refuses {method}: {answer['error']['message']}.")
        result: dict[str, Any] = answer["result"]
        return result

    def evaluate(self, script: str) -> Any:
        """What the expression is in the page."""
        answer = self.command("Runtime.evaluate", expression=script, returnByValue=True)
        return answer["result"].get("value")

    def wait_for(self, *texts: str) -> None:
        """Wait until the page, with its frames, shows all of them."""
        missing = set(texts)
        deadline = time.monotonic() + PATIENCE
        while missing:
            if time.monotonic() > deadline:
                raise BrowserError(f"{self.evaluate('location.href')} never showed {missing}.")
            shown = self.evaluate(SHOWN) or ""
            missing = {text for text in texts if text not in shown}
            time.sleep(0.2)

    def open(self, url: str, *texts: str) -> None:
        """Go there and wait until the page shows all of the texts."""
        self.command("Page.navigate", url=url)
        self.wait_for(*texts)

    def size(self, width: int, height: int) -> None:
        """Set the window's size, in pixels."""
        self.command(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def picture(self) -> bytes:
        """What the window shows, as PNG."""
        return b64decode(self.command("Page.captureScreenshot", format="png")["data"])

    def settle(self) -> bytes:
        """What the window shows once two looks are the same; a page that never rests as it is."""
        shown = b""
        for _ in range(20):
            before, shown = shown, self.picture()
            if shown == before:
                break
            time.sleep(0.5)
        return shown

    def middle(self, element: str) -> tuple[float, float]:
        """Where the element is, given as an expression."""
        place = self.evaluate(f"{element}?.getBoundingClientRect().toJSON()")
        if place is None:
            raise BrowserError(f"{self.evaluate('location.href')} has no {element}.")
        return place["x"] + place["width"] / 2, place["y"] + place["height"] / 2

    def move_mouse(self, x: float, y: float) -> None:
        self.mouse = (x, y)
        self.command("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def press(self) -> None:
        """Click where the mouse is."""
        x, y = self.mouse
        for kind in ("mousePressed", "mouseReleased"):
            self.command(
                "Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1
            )

    def fill_in(self, name: str, text: str) -> None:
        """Replace what a field of a form has, as a user types it."""
        self.evaluate(f"document.querySelector('input[name={name}]').select()")
        self.command("Input.insertText", text=text)
        self.evaluate("document.activeElement.blur()")  # no caret that blinks


@contextmanager
def browser() -> Iterator[Page]:
    """Start Chromium, yield its one tab, end it.

    Raises:
        BrowserError: there is no Chromium, or it does not start.
    """
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        raise BrowserError(
            "There is no Chromium: install it (apt install chromium, brew install --cask "
            f"chromium), or put one of {', '.join(PROGRAMS)} into PATH."
        )
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        fonts = Path(profile) / "fonts.conf"
        fonts.write_text(FONTS)
        process = subprocess.Popen(
            [program, *_options(profile), "about:blank"],
            env=os.environ | {"FONTCONFIG_FILE": str(fonts)},
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        try:
            with connect(_tab(process), max_size=None, proxy=None) as socket:
                yield Page(socket)
        finally:
            process.terminate()
            process.communicate()


def _options(profile: str) -> list[str]:
    options = ["--headless=new", "--remote-debugging-port=0", f"--user-data-dir={profile}"]
    options += ["--no-first-run", "--disable-gpu", "--hide-scrollbars", "--no-proxy-server"]
    options += ["--ignore-certificate-errors"]  # only this machine's own pages are opened
    return [*options, "--no-sandbox"] if os.geteuid() == 0 else options  # root has to


def _tab(process: subprocess.Popen[str]) -> str:
    """The address of the tab's socket; Chromium prints that of its own first."""
    assert process.stderr
    for line in process.stderr:
        if line.startswith("DevTools listening on "):
            address = line.split()[-1].replace("ws://", "http://").partition("/devtools")[0]
            tabs = httpx.get(f"{address}/json", trust_env=False).json()
            return next(str(tab["webSocketDebuggerUrl"]) for tab in tabs if tab["type"] == "page")
    raise BrowserError(f"Chromium ended at once ({process.wait()}): start it by hand to see why.")

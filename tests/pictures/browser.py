"""A headless Chromium, controlled over its DevTools protocol.

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
TIMEOUT = 60.0  # seconds, for a busy machine
FRAMES = "[...document.querySelectorAll('iframe')].map(frame => frame.contentDocument)"
# Fonts are the same whether or not the machine has the usual substitutes of Arial and Helvetica.
FONTS = """<fontconfig><include>/etc/fonts/fonts.conf</include><selectfont><rejectfont>
<glob>*/Liberation*</glob></rejectfont></selectfont></fontconfig>"""
# A page counts as shown once its scripts have run.
SHOWN = f"""[document, ...{FRAMES}]
    .map(one => one?.readyState === 'complete' ? one.body?.innerText ?? '' : '').join()"""

# The contrast of the text that is hardest to read, as WCAG 2.2 computes it.
CONTRAST = """
(() => {
  const light = (text) => {
    const [red, green, blue] = text.match(/[\\d.]+/g).map(Number).map((part) => {
      const share = part / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const ground = (one) => {
    const color = getComputedStyle(one).backgroundColor;
    return color.endsWith(", 0)") ? ground(one.parentElement) : color;
  };
  const shown = [...document.querySelectorAll("body *")].filter((one) =>
    [...one.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim()) &&
    !["SCRIPT", "STYLE"].includes(one.tagName));
  return Math.min(...shown.map((one) => {
    const both = [light(getComputedStyle(one).color), light(ground(one))];
    const [dark, bright] = both.sort((a, b) => a - b);
    return (bright + 0.05) / (dark + 0.05);
  }));
})()
"""


class BrowserError(Exception):
    """The browser failed; the message has the next step."""


def needs_browser(test: Callable[..., None]) -> Callable[..., None]:
    """Mark a test that needs Chromium: it is skipped without, and only runs in `make test-all`."""
    skips = pytest.mark.skipif(
        not any(map(shutil.which, PROGRAMS)),
        reason="Chromium is not installed: apt-get install chromium",
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
        while True:  # events arrive in between
            response = json.loads(self.socket.recv(TIMEOUT))
            if response.get("id") == number:
                break
        if "error" in response:
            raise BrowserError(f"Chromium rejected {method}: {response['error']['message']}.")
        result: dict[str, Any] = response["result"]
        return result

    def evaluate(self, script: str) -> Any:
        """Return the value of an expression or of its promise; an exception in it is an error."""
        response = self.command(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        if thrown := response.get("exceptionDetails"):
            described = thrown.get("exception", {}).get("description", thrown["text"])
            raise BrowserError(f"{script}: {described}")
        return response["result"].get("value")

    def least_contrast(self) -> float:
        """Return the lowest contrast of a text with its background, from 1 to 21."""
        return float(self.evaluate(CONTRAST))

    def wait_for(self, *texts: str) -> None:
        """Wait until the page, with its frames, is loaded and shows all the texts."""
        missing = set(texts)
        deadline = time.monotonic() + TIMEOUT
        while missing:
            if time.monotonic() > deadline:
                raise BrowserError(f"{self.evaluate('location.href')} did not show {missing}.")
            shown = self.evaluate(SHOWN) or ""
            missing = {text for text in texts if text not in shown}
            time.sleep(0.2)

    def open(self, url: str, *texts: str) -> None:
        """Open a URL and wait until the page shows all the texts."""
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
        """Return the window's content as PNG."""
        return b64decode(self.command("Page.captureScreenshot", format="png")["data"])

    def settle(self) -> bytes:
        """Return the window's content once it no longer changes, or after a time limit."""
        shown = b""
        for _ in range(20):
            before, shown = shown, self.picture()
            if shown == before:
                break
            time.sleep(0.5)
        return shown

    def middle(self, element: str) -> tuple[float, float]:
        """Return the centre of an element, which is given as an expression."""
        place = self.evaluate(f"{element}?.getBoundingClientRect().toJSON()")
        if place is None:
            raise BrowserError(f"{self.evaluate('location.href')} has no {element}.")
        return place["x"] + place["width"] / 2, place["y"] + place["height"] / 2

    def move_mouse(self, x: float, y: float) -> None:
        self.mouse = (x, y)
        self.command("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def press(self) -> None:
        """Click at the mouse's position."""
        x, y = self.mouse
        for kind in ("mousePressed", "mouseReleased"):
            self.command(
                "Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1
            )

    def fill_in(self, name: str, text: str) -> None:
        """Replace the text of a form's field, as a user types it."""
        self.evaluate(f"document.querySelector('input[name={name}]').select()")
        self.command("Input.insertText", text=text)
        self.evaluate("document.activeElement.blur()")  # hide the blinking caret


@contextmanager
def browser() -> Iterator[Page]:
    """Start Chromium, yield its only tab, and stop it.

    Raises:
        BrowserError: Chromium is not installed, or does not start.
    """
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        raise BrowserError(
            "Chromium is not installed: install it (apt install chromium, brew install --cask "
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
    options += ["--ignore-certificate-errors"]  # only pages of this machine are opened
    return [*options, "--no-sandbox"] if os.geteuid() == 0 else options  # root needs it


def _tab(process: subprocess.Popen[str]) -> str:
    """Return the address of the tab's socket; Chromium first prints its own address."""
    assert process.stderr
    for line in process.stderr:
        if line.startswith("DevTools listening on "):
            address = line.split()[-1].replace("ws://", "http://").partition("/devtools")[0]
            tabs = httpx.get(f"{address}/json", trust_env=False).json()
            return next(str(tab["webSocketDebuggerUrl"]) for tab in tabs if tab["type"] == "page")
    raise BrowserError(f"Chromium exited at once ({process.wait()}): run it in a shell to see why.")

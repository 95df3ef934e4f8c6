"""The output of a command in a terminal, with the time of each change."""

from __future__ import annotations

import fcntl
import io
import json
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

from tests.pictures.browser import Page

COLUMNS, ROWS = 100, 24
STILL = 0.03  # seconds without output after which a drawing is complete
# Two columns wider than the terminal, because a spinner's dots are wider than a letter.
TERMINAL = f"""document.body.style = 'margin: 0; background: #0c0c0c; color: #d9d9d9';
    document.body.innerHTML = `<pre style="margin: 20px 24px; width: {COLUMNS + 2}ch;
    height: {ROWS}lh; font: 20px/1.25 'DejaVu Sans Mono', monospace; white-space: pre-wrap;
    word-break: break-all; overflow: hidden"></pre>`"""
CONTROL = re.compile(r"(\x1b\[[?\d;]*[A-Za-z]|\r|\n)")


def record(command: list[str], folder: Path, env: dict[str, str]) -> Iterator[tuple[float, str]]:
    """Run a command in a terminal; yield seconds and all output so far after each pause.

    Raises:
        AssertionError: The exit code is not 0.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    env = {**env, "TERM": "xterm-256color"}
    began, printed, is_new = time.monotonic(), b"", False
    with subprocess.Popen(
        command, cwd=folder, env=env, stdin=theirs, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        try:
            while True:
                if select.select([ours], [], [], STILL)[0]:
                    if not (new := os.read(ours, 65536)):  # the end of the output on macOS
                        break
                    printed, is_new = printed + new, True
                elif is_new:
                    is_new = False
                    yield time.monotonic() - began, printed.decode(errors="replace")
        except OSError:  # the end of the output on Linux
            pass
        finally:
            os.close(ours)
            process.terminate()
    yield time.monotonic() - began, printed.decode(errors="replace")
    assert process.returncode == 0, printed.decode(errors="replace")


@dataclass
class Screen:
    """The lines of a terminal, for output that moves up, erases lines and rewrites them."""

    lines: list[str] = field(default_factory=lambda: [""])
    row: int = 0

    def write(self, text: str) -> None:
        for part in CONTROL.split(text):
            if part == "\n":
                self.row += 1
                self.lines += [""] * (self.row + 1 - len(self.lines))
            elif part.startswith("\x1b[") and part.endswith("A"):
                self.row = max(0, self.row - int(part[2:-1] or 1))
            elif part.startswith("\x1b[") and part.endswith("K"):
                self.lines[self.row] = ""
            elif part.endswith("m") or not CONTROL.fullmatch(part):
                self.lines[self.row] += part

    def html(self) -> str:
        """Return the lines, with their colours."""
        console = Console(file=io.StringIO(), record=True, width=10_000)
        console.print(Text.from_ansi("\n".join(self.lines).rstrip()), soft_wrap=True)
        return console.export_html(theme=MONOKAI, code_format="{code}", inline_styles=True)


def draw(page: Page, printed: str) -> None:
    """Show the last lines of the output in the page."""
    screen = Screen()
    screen.write(printed)
    page.evaluate(
        f"document.querySelector('pre').innerHTML = {json.dumps(screen.html())};"
        "document.querySelector('pre').scrollTop = 100000"
    )

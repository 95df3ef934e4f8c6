"""The terminal of the pictures erases overwritten lines and reports failures."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import pytest
from rich.console import Console
from rich.live import Live

from tests.pictures.terminal import Screen, record


def test_screen_keeps_what_is_printed_after_a_live_display() -> None:
    output = io.StringIO()
    console = Console(file=output, force_terminal=True, width=40)
    with Live("one\ntwo", console=console, transient=True, auto_refresh=False) as live:
        live.refresh()
        console.print("above")
        live.update("three", refresh=True)
    console.print("[green]below")
    screen = Screen()
    screen.write(output.getvalue())

    assert [line.rstrip() for line in screen.lines[:2]] == ["above", "\x1b[32mbelow\x1b[0m"]
    assert not any(screen.lines[2:])
    assert ">below</span>" in screen.html()


def test_record_yields_growing_output_and_reports_a_failure(tmp_path: Path) -> None:
    program = "import sys, time; print(sys.stdout.isatty()); time.sleep(0.3); sys.exit('broken')"
    with pytest.raises(AssertionError, match="broken"):
        list(record([sys.executable, "-c", program], tmp_path, dict(os.environ)))

    seconds, texts = zip(*record([sys.executable, "-c", program[:-20]], tmp_path, {}), strict=True)
    assert texts[-1] == "True\r\n"
    assert list(seconds) == sorted(seconds)

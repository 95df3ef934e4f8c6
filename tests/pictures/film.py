"""Animated pictures: the frames of a changing page, saved as WebP."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from tests.pictures.browser import BrowserError, Page

LONGEST = 180.0  # seconds of filming
PAUSE = 0.2  # seconds between two frames of a changing page
# Headless Chromium draws no mouse pointer. Tooltips stay, but nothing fades or rotates.
STAGE = """document.body.append(Object.assign(document.createElement('div'), {id: 'pointer',
    style: 'position: fixed; z-index: 99999; pointer-events: none',
    innerHTML: '<svg width="26" height="34" viewBox="0 0 13 17"><path fill="#111" stroke="#fff" ' +
        'd="M1 1v13l3-3 2.3 5 2-1-2.2-4.8H11z"/></svg>'}));
    document.head.append(Object.assign(document.createElement('style'),
    {textContent: '* { animation: none !important; transition: none !important }'}))"""


@dataclass
class Film:
    """Frames of one page, and the milliseconds that each of them is shown."""

    page: Page
    frames: list[Image.Image] = field(default_factory=list)
    durations: list[int] = field(default_factory=list)

    def shoot(self, milliseconds: int) -> None:
        """Add the page's current content; an unchanged page adds no frame."""
        with Image.open(io.BytesIO(self.page.picture())) as image:
            frame = image.convert("RGB")
        if self.frames and frame == self.frames[-1]:
            self.durations[-1] = max(self.durations[-1], milliseconds)
        else:
            self.frames.append(frame)
            self.durations.append(milliseconds)

    def shoot_until(self, is_over: Callable[[], bool], milliseconds: int) -> None:
        """Add a frame for each change until ``is_over``, and one of the final state."""
        deadline = time.monotonic() + LONGEST
        while not is_over():
            if time.monotonic() > deadline:
                raise BrowserError(f"The film did not reach its end within {LONGEST:.0f} s.")
            self.shoot(milliseconds)
            time.sleep(PAUSE)
        self.page.settle()
        self.shoot(2500)

    def point_at(self, element: str) -> None:
        """Move the mouse to an element in four frames, and pause for its tooltip."""
        old, new = self.page.mouse, self.page.middle(element)
        for part in (0.3, 0.6, 0.9, 1.0):
            x, y = (a + (b - a) * part for a, b in zip(old, new, strict=True))
            self.page.move_mouse(x, y)
            self.page.evaluate(
                f"Object.assign(document.getElementById('pointer').style,"
                f" {{left: '{x}px', top: '{y}px'}})"
            )
            self.shoot(80)
        self.page.settle()
        self.shoot(1000)

    def speed_up(self, to: int) -> None:
        """Shorten all frames so far to a total of ``to`` milliseconds, if they take longer."""
        factor = min(1.0, to / sum(self.durations))
        self.durations = [round(one * factor) for one in self.durations]

    def save(self, file: Path) -> None:
        """Save without loss, for the text; the animation repeats."""
        self.frames[0].save(
            file,
            save_all=True,
            append_images=self.frames[1:],
            duration=self.durations,
            loop=0,
            lossless=True,
            quality=60,  # effort of compression: a higher value takes a minute
            method=6,
        )

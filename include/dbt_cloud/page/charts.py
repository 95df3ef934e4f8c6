"""Sizes of bars and lines for the templates' SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .runs import Run

STEP, GAP = 12, 2  # width of a bar with its gap, and of the gap
LEAST = 2.0  # minimum height of a bar
LINE_WIDTH, LINE_HEIGHT = 120, 24


@dataclass(frozen=True)
class Bar:
    """One run; ``x``, ``y`` and ``height`` are in the chart's units."""

    run: Run
    x: int
    y: float
    height: float
    width: int = STEP - GAP


def bars(runs: Sequence[Run], height: int) -> list[Bar]:
    """Return the bars, oldest on the left, scaled to the longest run."""
    longest = max((run.seconds or 0 for run in runs), default=0) or 1
    found = []
    for place, run in enumerate(reversed(runs)):
        high = max(LEAST, round(height * (run.seconds or 0) / longest, 1))
        found.append(Bar(run, place * STEP, height - high, high))
    return found


def line(values: Sequence[float]) -> str:
    """Return the points of a polyline; its scale starts at zero."""
    highest = max(values, default=0) or 1
    step = LINE_WIDTH / max(len(values) - 1, 1)
    return " ".join(
        f"{place * step:.1f},{LINE_HEIGHT - 1 - (LINE_HEIGHT - 2) * value / highest:.1f}"
        for place, value in enumerate(values)
    )

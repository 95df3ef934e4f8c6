"""Sizes of the charts of runs and run times, for the templates' SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from .gantt import ticks_of
from .runs import Run, duration_text

STEP = 8  # pixels between two runs of a strip
LINE_WIDTH, LINE_HEIGHT = 120, 24
MARGIN = 4  # pixels, for the dot at a line's end
CHART_HEIGHT = 120
MIN_SLOTS = 20  # so that the bars of few runs are not wide
MIN_HEIGHT = 1.0  # pixel, since a bar without a height is not drawn


def strip(runs: Sequence[Run], most: int) -> list[tuple[int, Run]]:
    """Return the centre of each run in pixels, with the newest of ``most`` runs on the right."""
    first = most - len(runs)
    return [(STEP * (first + place) + STEP // 2, run) for place, run in enumerate(reversed(runs))]


@dataclass(frozen=True)
class Sparkline:
    """The points of a line in pixels, the last value on the right; its scale starts at zero."""

    points: list[tuple[float, float]]
    highest: float
    height: int

    @classmethod
    def of(
        cls, values: Sequence[float | None], width: int = LINE_WIDTH, height: int = LINE_HEIGHT
    ) -> Self:
        """Return the line; a missing value has a place, but no point."""
        highest = max((value for value in values if value is not None), default=0.0)
        empty = cls([], highest, height)
        step = (width - 2 * MARGIN) / max(len(values) - 1, 1)
        points = [
            (round(width - MARGIN - place * step, 1), empty.y(value))
            for place, value in enumerate(reversed(values))
            if value is not None
        ]
        return cls(points[::-1], highest, height)

    def y(self, value: float) -> float:
        """Return the place of a value of the scale."""
        inner = self.height - 2 * MARGIN
        return round(self.height - MARGIN - inner * value / (self.highest or 1), 1)

    @property
    def path(self) -> str:
        return " ".join(f"{x},{y}" for x, y in self.points)


@dataclass(frozen=True)
class Bar:
    """A run; ``x`` and ``width`` are percentages, ``y`` and ``height`` pixels."""

    run: Run
    x: float
    width: float
    y: float
    height: float

    @property
    def middle(self) -> float:
        return round(self.x + self.width / 2, 3)


@dataclass(frozen=True)
class DurationChart:
    """Bars with the newest run on the right; ``ticks`` are labels by their ``y`` in pixels."""

    bars: list[Bar]
    ticks: list[tuple[float, str]]
    longest: str

    @classmethod
    def of(cls, runs: Sequence[Run], height: int = CHART_HEIGHT) -> Self:
        longest = max((run.seconds or 0 for run in runs), default=0) or 1.0
        slots = max(len(runs), MIN_SLOTS)
        bars = []
        for place, run in enumerate(reversed(runs), start=slots - len(runs)):
            high = 0.0 if run.seconds is None else max(MIN_HEIGHT, height * run.seconds / longest)
            x, width = 100 * (place + 0.1) / slots, 80 / slots
            bars.append(Bar(run, round(x, 3), width, round(height - high, 1), round(high, 1)))
        ticks = [
            (round(height - height * tick.x / 100, 1), tick.label) for tick in ticks_of(longest)
        ]
        return cls(bars, ticks, duration_text(longest))

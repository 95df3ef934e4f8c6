"""Places of a model's run times, rows and test results in SVG.

Runs are at equal distances from left to right, so all parts share the axis.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ..api.artifacts import SKIPPED, has_failed
from ..reports.run_times import RunTime
from .gantt import ticks_of

SECONDS_HEIGHT, ROWS_HEIGHT = 180, 80  # pixels
HEADROOM = 1.1  # of the highest value
WIDE = 60  # runs that fit a narrow window; more are scrolled
MAX_DATES = 3  # in a narrow window
MARKS = {"": "", "warn": "warn", "success": "success", "pass": "success", SKIPPED: "skipped"}


@dataclass(frozen=True)
class Tick:
    """``at`` is in percent from the left, or in pixels from the top."""

    at: float
    label: str


@dataclass(frozen=True)
class Point:
    """A value of the run at a place; ``x`` is in percent, ``y`` in pixels."""

    place: int
    x: float
    y: float
    label: str
    is_slower: bool = False


@dataclass(frozen=True)
class Plot:
    """Lines as lists of points for SVG, with ``x`` from 0 to 100."""

    height: int
    ticks: list[Tick]
    points: list[Point]
    line: str
    median: str = ""
    band: str = ""


@dataclass(frozen=True)
class Scale:
    """Converts the place of a run and a value into a point; values begin at zero."""

    runs: int
    height: int
    highest: float

    def x(self, place: int) -> float:
        return middle(place, self.runs)

    def y(self, value: float) -> float:
        return round(self.height * (1 - value / (HEADROOM * self.highest)), 2)

    def line(self, values: dict[int, float]) -> str:
        return " ".join(f"{self.x(place)},{self.y(value)}" for place, value in values.items())


def middle(place: int, runs: int) -> float:
    """Return the centre of a run's part of the width, in percent.

    >>> middle(0, 4), middle(3, 4)
    (12.5, 87.5)
    """
    return round(100 * (place + 0.5) / runs, 3)


def seconds_plot(times: dict[int, RunTime], runs: int) -> Plot | None:
    """Return the run times with median and spread of the builds before each; None without any."""
    compared = {place: time for place, time in times.items() if time.history}
    medians = {place: time.median for place, time in compared.items()}
    upper = {place: time.median + time.spread for place, time in compared.items()}
    lower = {place: max(0.0, time.median - time.spread) for place, time in compared.items()}
    seconds = {place: time.seconds for place, time in times.items()}
    if not seconds:
        return None
    scale = Scale(runs, SECONDS_HEIGHT, max(*seconds.values(), *upper.values(), 0.01))
    ticks = [
        Tick(scale.y(scale.highest * tick.x / 100), tick.label) for tick in ticks_of(scale.highest)
    ]
    return Plot(
        height=SECONDS_HEIGHT,
        ticks=ticks,
        points=[
            Point(
                place,
                scale.x(place),
                scale.y(time.seconds),
                f"{time.seconds:.2f} s",
                time.is_slower,
            )
            for place, time in times.items()
        ],
        line=scale.line(seconds),
        median=scale.line(medians),
        band=f"{scale.line(upper)} {scale.line(dict(reversed(lower.items())))}".strip(),
    )


def rows_plot(rows: dict[int, int], runs: int) -> Plot | None:
    """Return the numbers of rows; None without any."""
    if not rows:
        return None
    scale = Scale(runs, ROWS_HEIGHT, max(*rows.values(), 1))
    values = {place: float(count) for place, count in rows.items()}
    return Plot(
        height=ROWS_HEIGHT,
        ticks=[Tick(scale.y(count), f"{count:,}") for count in (0, round_below(scale.highest))],
        points=[
            Point(place, scale.x(place), scale.y(count), f"{count:,} rows")
            for place, count in rows.items()
        ],
        line=scale.line(values),
    )


def round_below(highest: float) -> int:
    """Return the highest of 1, 2, 5, 10, 20, … that is not above the value.

    >>> round_below(1), round_below(999), round_below(7_310_000)
    (1, 500, 5000000)
    """
    power = 10 ** int(math.log10(highest))
    return int(next(base * power for base in (5, 2, 1) if base * power <= highest))


def date_ticks(starts: Sequence[datetime | None]) -> list[Tick]:
    """Return dates at equal distances, with times if all runs are of one day."""
    last = len(starts) - 1
    count = min(MAX_DATES * (2 if len(starts) > WIDE else 1) - 1, last)
    places = sorted({round(last * one / (count or 1)) for one in range(count + 1)})
    days = {start.date() for start in starts if start}
    form = "%m-%d %H:%M" if len(days) == 1 else "%Y-%m-%d"
    return [
        Tick(middle(place, len(starts)), start.strftime(form))
        for place in places
        if (start := starts[place])
    ]


def mark_of(status: str) -> str:
    """Return the class of a status: its mark differs in shape and colour.

    >>> [mark_of(status) for status in ("pass", "fail", "reused", "")]
    ['success', 'error', 'quiet', '']
    """
    return MARKS.get(status, "error" if has_failed(status) else "quiet")

"""The timeline of a run as SVG: a bar for each node, in the lane of its thread."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ..reports.live_nodes import LiveNode
from ..reports.timeline import TimedNode

LANE = 24  # pixels
MAX_TICKS = 5
MIN_WIDTH = 0.05  # percent, since a bar without a width is not drawn
MINUTE, HOUR, DAY = 60, 3600, 86400
INTERVALS = (  # seconds between two ticks
    *(base * 10**power for power in (-2, -1, 0) for base in (1, 2, 5)),
    *(10, 15, 30),
    *(count * MINUTE for count in (1, 2, 5, 10, 15, 30)),
    *(count * HOUR for count in (1, 2, 3, 6, 12)),
)


@dataclass(frozen=True)
class Bar:
    """A node; ``x`` and ``width`` are percentages, ``lane`` is a number from 0."""

    place: int
    x: float
    width: float
    lane: int
    state: str
    is_critical: bool


@dataclass(frozen=True)
class Tick:
    x: float  # percent
    label: str


@dataclass(frozen=True)
class Gantt:
    """The bars in the order of their starts."""

    bars: list[Bar]
    ticks: list[Tick]
    lanes: list[str]
    seconds: float

    @property
    def height(self) -> int:
        return LANE * len(self.lanes)

    @classmethod
    def of(
        cls, nodes: Sequence[TimedNode | LiveNode], critical: Collection[int] = ()
    ) -> Gantt | None:
        """Return the chart; None without a node that has times."""
        spans = {
            place: (node.start, max(node.start, node.end))
            for place, node in enumerate(nodes)
            if node.start is not None and node.end is not None
        }
        if not spans:
            return None
        begin = min(start for start, _ in spans.values())
        seconds = max(end for _, end in spans.values()) - begin or MIN_WIDTH
        threads = sorted({nodes[place].thread or 0 for place in spans}, key=lambda one: one or 1e9)
        bars = [
            Bar(
                place=place,
                x=round(100 * (start - begin) / seconds, 3),
                width=max(MIN_WIDTH, round(100 * (end - start) / seconds, 3)),
                lane=threads.index(nodes[place].thread or 0),
                state=state_of(nodes[place]),
                is_critical=place in critical,
            )
            for place, (start, end) in sorted(spans.items(), key=lambda item: item[1])
        ]
        lanes = [f"Thread {one}" if one else "No thread" for one in threads]
        return cls(bars, ticks_of(seconds), lanes, seconds)


def state_of(one: TimedNode | LiveNode) -> str:
    """Return the bar's class: ``running``, ``error``, ``warn``, ``test`` or ``success``."""
    if isinstance(one, LiveNode) and one.is_busy:
        return "running"
    if one.node.has_failed:
        return "error"
    if one.node.status == "warn":
        return "warn"
    return "test" if one.is_test else "success"


def ticks_of(seconds: float) -> list[Tick]:
    """Return at most six ticks from zero; a run of days has one every so many days."""
    days = -(-seconds // (DAY * MAX_TICKS)) * DAY
    step = next((one for one in INTERVALS if seconds <= one * MAX_TICKS), days)
    places = range(int(seconds / step + 1e-9) + 1)
    return [Tick(round(100 * place * step / seconds, 3), _label(place * step)) for place in places]


def _label(seconds: float) -> str:
    for unit, size in (("d", DAY), ("h", HOUR), ("min", MINUTE)):
        if seconds >= size:
            return f"{round(seconds / size, 2):g} {unit}"
    return f"{round(seconds, 2):g} s"

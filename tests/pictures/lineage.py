"""A picture of OpenLineage events: on the left the runs below a Dag run, on the right the data."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator
from graphlib import TopologicalSorter

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyBboxPatch

from tests.e2e.emitted import ENDS, Event, kind, parent

WIDTH, HEIGHT, DPI = 12.8, 6.4, 100
LEFT, RIGHT, TOP, BOTTOM = 0.36, 0.985, 0.86, 0.05
MARGIN, RUNS_END = 0.02, 0.31
BOX = 0.095
COLORS = {"AIRFLOW": "#0b7285", "DBT": "#d9480f"}
FILLS = {"COMPLETE": "#e6f4ea", "FAIL": "#fde0dc", "ABORT": "#eeeeee"}
GREY, DARK = "#868e96", "#212529"

Line = tuple[int, str, str, str]  # depth, name, integration, state


def draw_lineage(events: list[Event]) -> bytes:
    """Return a PNG of the events of one Dag run, and of all runs below it."""
    figure = Figure(figsize=(WIDTH, HEIGHT), dpi=DPI, facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.axis("off")
    for x, heading in ((MARGIN, "Runs"), (LEFT, "Datasets that they read and write")):
        axes.text(x, 0.93, heading, fontsize=12, color=DARK, fontweight="bold")
    draw_runs(axes, list(lines_of(events)))
    draw_datasets(axes, events)
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    return picture.getvalue()


def lines_of(events: list[Event]) -> Iterator[Line]:
    """Yield a line for each run, below its parent; nodes of dbt are counted by kind."""
    ends = [one for one in events if one["eventType"] in ENDS]
    ends.sort(key=lambda one: str(one["eventTime"]))
    ids = {one["run"]["runId"] for one in ends}

    def below(run_id: str | None, depth: int) -> Iterator[Line]:
        nodes: Counter[tuple[str, str]] = Counter()
        for one in ends:
            if (parent(one) if parent(one) in ids else None) != run_id:
                continue
            integration, type_ = kind(one)
            if integration == "DBT" and type_ != "JOB":
                nodes[f"{type_.lower()}s", one["eventType"]] += 1
                continue
            yield depth, one["job"]["name"].rpartition(".")[2], integration, one["eventType"]
            yield from below(one["run"]["runId"], depth + 1)
        for (type_, state), count in sorted(nodes.items()):
            yield depth, f"{count} {type_}", "DBT", state

    yield from below(None, 0)


def draw_runs(axes: Axes, lines: list[Line]) -> None:
    for row, (depth, name, integration, state) in enumerate(lines):
        x, y = MARGIN + 0.022 * depth, TOP - 0.06 * row
        draw_box(axes, x, y, RUNS_END - x, COLORS[integration], FILLS[state])
        axes.text(x + 0.008, y, name, va="center", fontsize=9, color=DARK)
        axes.text(RUNS_END - 0.005, y, state, va="center", ha="right", fontsize=6.5, color=GREY)


def draw_datasets(axes: Axes, events: list[Event]) -> None:
    """Draw the datasets in columns, each right of those that it is built from."""
    built = [one for one in events if one["eventType"] == "COMPLETE" and one["outputs"]]
    parents = {
        output["name"]: {one["name"] for one in event["inputs"]}
        for event in built
        for output in event["outputs"]
    }
    tests = Counter(
        dataset["name"]
        for event in events
        for dataset in event["inputs"]
        for _ in dataset.get("inputFacets", {})
        .get("dataQualityAssertions", {})
        .get("assertions", ())
        if event["eventType"] in ENDS
    )
    depths: dict[str, int] = {}
    for name in TopologicalSorter(parents).static_order():
        depths[name] = max((depths[one] + 1 for one in parents.get(name, ())), default=0)
    places = places_of(depths)
    for name, inputs in parents.items():
        for one in inputs:
            start, end = (places[one][0] + BOX, places[one][1]), places[name]
            axes.add_line(Line2D(*zip(start, end, strict=True), color=GREY, linewidth=0.8))
    for name, (x, y) in places.items():
        draw_box(axes, x, y, BOX, COLORS["DBT"] if name in parents else GREY, "white")
        axes.text(x + 0.006, y + 0.009, short(name), va="center", fontsize=7.5, color=DARK)
        about = f"{tests[name]} tests" if tests[name] else name.split(".")[1]
        axes.text(x + 0.006, y - 0.013, about, va="center", fontsize=6, color=GREY)


def places_of(depths: dict[str, int]) -> dict[str, tuple[float, float]]:
    """Return name → left end and centre of its box."""
    places = {}
    columns = 1 + max(depths.values())
    for depth in range(columns):
        names = sorted(name for name in depths if depths[name] == depth)
        x = LEFT + depth * (RIGHT - BOX - LEFT) / max(columns - 1, 1)
        for row, name in enumerate(names):
            places[name] = x, TOP - (row + 0.5) * (TOP - BOTTOM) / len(names)
    return places


def draw_box(axes: Axes, x: float, y: float, width: float, color: str, fill: str) -> None:
    style = "round,pad=0,rounding_size=0.006"
    box = FancyBboxPatch((x, y - 0.023), width, 0.046, boxstyle=style, ec=color, fc=fill)
    axes.add_patch(box)


def short(name: str) -> str:
    return name.rpartition(".")[2]

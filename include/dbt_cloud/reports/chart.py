"""Draw the run times of models, with matplotlib."""

from __future__ import annotations

import io

from .run_times import RunTime

CHARTS, COLUMNS = 12, 3  # the slowest models
TITLE = 46  # characters of a chart's title


def title(name: str) -> str:
    """Return a name as one line, shortened to its end, which is more specific.

    >>> title("x" * 99 + "orders")[-8:]
    'xxorders'
    """
    line = " ".join(name.split())
    return line if len(line) <= TITLE else f"…{line[1 - TITLE :]}"


def as_chart(times: list[RunTime]) -> bytes:
    """Return a PNG with earlier runs, their median and this run of each of the slowest models."""
    from matplotlib.figure import Figure  # slow to import
    from matplotlib.ticker import MaxNLocator

    shown = times[:CHARTS]
    rows = -(-len(shown) // COLUMNS)
    figure = Figure(figsize=(12, 2.4 * rows), layout="constrained")
    axes = list(figure.subplots(rows, COLUMNS, squeeze=False).flat)
    for axis, time in zip(axes, shown, strict=False):
        color = "#b00020" if time.is_slower else "#1f6fb4"
        earlier = range(-len(time.history), 0)
        axis.plot(earlier, time.history, color="#999999", marker=".")
        axis.plot([0], [time.seconds], color=color, marker="o")
        if time.history:
            axis.axhline(time.median, color="#999999", linestyle=":")
        axis.set_title(title(time.name), fontsize=9, color=color, parse_math=False)
        axis.set_ylim(0, 1.15 * max(*time.history, time.seconds, 0.01))
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.tick_params(labelsize=7)
    for axis in axes[len(shown) :]:
        axis.set_visible(False)
    figure.supxlabel("runs before this one", fontsize=8)
    figure.supylabel("seconds", fontsize=8)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=100)
    return picture.getvalue()

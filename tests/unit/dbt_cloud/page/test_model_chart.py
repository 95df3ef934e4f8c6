"""Tests of the places in a model's chart, with values worked out by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from include.dbt_cloud.page.model_chart import date_ticks, mark_of, rows_plot, seconds_plot
from include.dbt_cloud.reports.model_runs import build_times
from include.dbt_cloud.reports.run_times import RunTime

BEGIN = datetime(2026, 11, 25, 23, 30, tzinfo=UTC)


def times(*seconds: float) -> dict[int, RunTime]:
    return dict(enumerate(build_times("orders", [*seconds])))


def test_run_times_are_scaled_to_a_tenth_above_the_highest() -> None:
    """The chart is 180 px high, so 10 s of at most 11 s are 163.64 px above its foot."""
    plot = seconds_plot(times(5.0, 10.0), 2)

    assert plot
    assert [(point.x, point.y, point.label) for point in plot.points] == [
        (25, 98.18, "5.00 s"),
        (75, 16.36, "10.00 s"),
    ]
    assert plot.line == "25.0,98.18 75.0,16.36"
    assert [(tick.at, tick.label) for tick in plot.ticks][::5] == [(180, "0 s"), (16.36, "10 s")]


def test_band_is_the_median_and_spread_of_the_builds_before() -> None:
    """Before the third build: 4 and 6 s, so the median is 5 s and the spread 1 s, of at most 11."""
    plot = seconds_plot(times(4.0, 6.0, 10.0), 3)

    assert plot
    assert plot.median == "50.0,114.55 83.333,98.18"
    assert plot.band == "50.0,114.55 83.333,81.82 83.333,114.55 50.0,114.55"


def test_runs_without_a_build_leave_a_gap_in_the_places() -> None:
    plot = seconds_plot({1: RunTime("orders", 1.0, []), 3: RunTime("orders", 1.0, [1.0])}, 4)

    assert plot
    assert [point.x for point in plot.points] == [37.5, 87.5]


@pytest.mark.parametrize("seconds", [(0.0,), (0.0, 0.0), (1e9, 0.01), (-1.0,)])
def test_odd_run_times_have_a_chart(seconds: tuple[float, ...]) -> None:
    plot = seconds_plot(times(*seconds), len(seconds))

    assert plot
    assert len(plot.points) == len(seconds)


def test_nothing_built_and_no_rows_have_no_chart() -> None:
    assert seconds_plot({}, 3) is None
    assert rows_plot({}, 3) is None


@pytest.mark.parametrize(("rows", "label"), [(0, "1"), (7, "5"), (2_400_000, "2,000,000")])
def test_rows_have_a_round_number_on_the_axis(rows: int, label: str) -> None:
    plot = rows_plot({0: rows}, 1)

    assert plot
    assert [tick.label for tick in plot.ticks] == ["0", label]


def test_dates_are_at_equal_distances_and_of_one_day_with_times() -> None:
    days = [BEGIN + timedelta(days=one) for one in range(10)]
    minutes = [BEGIN + timedelta(minutes=one) for one in range(2)]

    assert [(tick.at, tick.label) for tick in date_ticks(days)] == [
        (5, "2026-11-25"),
        (45, "2026-11-29"),
        (95, "2026-12-04"),
    ]
    assert [tick.label for tick in date_ticks(minutes)] == ["11-25 23:30", "11-25 23:31"]
    assert len(date_ticks([*days] * 20)) == 6
    assert date_ticks([None]) == []


@pytest.mark.parametrize(
    ("status", "mark"),
    [
        ("fail", "error"),
        ("partial success", "error"),
        ("warn", "warn"),
        ("skipped", "skipped"),
        ("no-op", "quiet"),
    ],
)
def test_mark_differs_by_status(status: str, mark: str) -> None:
    assert mark_of(status) == mark

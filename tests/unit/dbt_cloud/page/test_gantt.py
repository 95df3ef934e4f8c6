"""Tests of the places of bars and ticks, worked out by hand."""

from __future__ import annotations

import pytest

from include.dbt_cloud.page.gantt import Gantt, Tick, ticks_of
from tests.unit.dbt_cloud.reports.test_critical_path import DIAMOND, node


def test_gantt_places_bars_by_start_in_the_lane_of_their_thread() -> None:
    chart = Gantt.of(DIAMOND, {0, 1, 3})

    assert chart
    assert [(bar.place, bar.lane, bar.x, bar.width) for bar in chart.bars] == [
        (0, 0, 0, 25),
        (4, 1, 0, 37.5),
        (1, 0, 25, 50),
        (2, 1, 37.5, 25),
        (3, 0, 75, 25),
    ]
    assert [bar.place for bar in chart.bars if bar.is_critical] == [0, 1, 3]
    assert (chart.lanes, chart.seconds, chart.height) == (["Thread 1", "Thread 2"], 8, 48)


def test_gantt_starts_at_the_first_node() -> None:
    chart = Gantt.of([node("a", -10, -5), node("b", 0, 10)], set())

    assert chart
    assert [(bar.x, bar.width) for bar in chart.bars] == [(0, 25), (50, 50)]


def test_gantt_is_none_without_times() -> None:
    assert Gantt.of([], set()) is None
    assert Gantt.of([node("a", status="reused"), node("b", seconds=3.0)], set()) is None


def test_gantt_draws_short_nodes_and_those_with_a_negative_time() -> None:
    chart = Gantt.of([node("a", 0, 86400), node("b", 1, 1.5, 2), node("c", 10, 5, None)], set())

    assert chart
    assert [(bar.place, bar.width) for bar in chart.bars] == [(0, 100), (1, 0.05), (2, 0.05)]
    assert chart.lanes == ["Thread 1", "Thread 2", "No thread"]


@pytest.mark.parametrize(
    ("name", "status", "state"),
    [
        ("a", "success", "success"),
        ("a", "partial success", "error"),
        ("test.shop.a.f0", "pass", "test"),
        ("test.shop.a.f0", "fail", "error"),
        ("test.shop.a.f0", "warn", "warn"),
    ],
)
def test_gantt_colours_failures_warnings_and_tests(name: str, status: str, state: str) -> None:
    chart = Gantt.of([node(name, 0, 1, status=status)], set())

    assert chart
    assert [bar.state for bar in chart.bars] == [state]


@pytest.mark.parametrize(
    ("seconds", "labels"),
    [
        (0.05, ["0 s", "0.01 s", "0.02 s", "0.03 s", "0.04 s", "0.05 s"]),
        (8, ["0 s", "2 s", "4 s", "6 s", "8 s"]),
        (59, ["0 s", "15 s", "30 s", "45 s"]),
        (400, ["0 s", "2 min", "4 min", "6 min"]),
        (86400, ["0 s", "6 h", "12 h", "18 h", "1 d"]),
        (10 * 86400, ["0 s", "2 d", "4 d", "6 d", "8 d", "10 d"]),
    ],
)
def test_ticks_are_round_and_have_units(seconds: float, labels: list[str]) -> None:
    ticks = ticks_of(seconds)

    assert [tick.label for tick in ticks] == labels
    assert ticks[0] == Tick(0, "0 s")
    assert ticks[-1].x <= 100

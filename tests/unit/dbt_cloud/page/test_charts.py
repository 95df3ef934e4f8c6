"""Tests of the sizes of charts, worked out by hand."""

from __future__ import annotations

from include.dbt_cloud.page.charts import DurationChart, Sparkline, strip
from include.dbt_cloud.page.runs import Run
from tests.unit.dbt_cloud.page.test_content import run

WAITING = Run.of(run(3, started_at=None, finished_at=None, status=1), {})
LONG = Run.of(run(2), {})  # 30.5 s
SHORT = Run.of(run(1, finished_at="2026-11-25 10:01:10.4+00:00"), {})  # 0.4 s


def test_strip_has_the_newest_run_on_the_right() -> None:
    assert strip([WAITING, LONG], 30) == [(228, LONG), (236, WAITING)]
    assert strip([], 30) == []


def test_sparkline_starts_its_scale_at_zero() -> None:
    line = Sparkline.of([0.0, 1.0, 2.0])

    assert line.path == "4.0,20.0 60.0,12.0 116.0,4.0"
    assert (line.highest, line.y(1.0)) == (2.0, 12.0)
    assert Sparkline.of([0.0]).path == "116.0,20.0"


def test_sparkline_keeps_the_place_of_a_missing_value() -> None:
    assert Sparkline.of([None, 1.0, None, 2.0], width=38).points == [(14.0, 12.0), (34.0, 4.0)]
    assert Sparkline.of([None]).points == []


def test_sparkline_has_its_points_below_those_of_the_strip() -> None:
    line = Sparkline.of([None] * 28 + [1.0, 2.0], width=240)

    assert [x for x, _ in line.points] == [x for x, _ in strip([WAITING, LONG], 30)]


def test_duration_chart_scales_to_the_longest_run_with_the_oldest_first() -> None:
    chart = DurationChart.of([WAITING, LONG, SHORT], height=61)

    assert [bar.run.id for bar in chart.bars] == [1, 2, 3]
    assert [bar.x for bar in chart.bars] == [85.5, 90.5, 95.5]
    assert [(bar.y, bar.height) for bar in chart.bars] == [(60.0, 1.0), (0.0, 61.0), (61.0, 0.0)]
    assert chart.ticks == [(61.0, "0 s"), (41.0, "10 s"), (21.0, "20 s"), (1.0, "30 s")]
    assert chart.longest == "30.5 s"


def test_duration_chart_of_runs_without_times_has_no_bars_to_see() -> None:
    chart = DurationChart.of([WAITING], height=61)

    assert [bar.height for bar in chart.bars] == [0.0]

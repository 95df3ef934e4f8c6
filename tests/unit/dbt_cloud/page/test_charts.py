"""Tests of the sizes of bars and lines."""

from __future__ import annotations

from include.dbt_cloud.page.charts import bars, line
from include.dbt_cloud.page.runs import Run
from tests.unit.dbt_cloud.page.test_content import run


def test_bars_scale_to_the_longest_run_with_the_oldest_first() -> None:
    waiting = Run.of(run(3, started_at=None, finished_at=None, status=1), {})
    long = Run.of(run(2), {})
    short = Run.of(run(1, finished_at="2026-11-25 10:01:20+00:00"), {})

    found = bars([waiting, long, short], 61)

    assert [bar.run.id for bar in found] == [1, 2, 3]
    assert [bar.x for bar in found] == [0, 12, 24]
    assert [bar.height for bar in found] == [20.0, 61.0, 2.0]
    assert [bar.y + bar.height for bar in found] == [61, 61, 61]


def test_bars_and_line_are_empty_without_runs() -> None:
    assert (bars([], 24), line([])) == ([], "")


def test_line_starts_its_scale_at_zero() -> None:
    assert line([0.0, 1.0, 2.0]) == "0.0,23.0 60.0,12.0 120.0,1.0"
    assert line([0.0]) == "0.0,23.0"

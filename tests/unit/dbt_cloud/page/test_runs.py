"""Tests of a run on the page."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from include.dbt_cloud.page.runs import Run, duration_text, that_can_be_shown
from tests.unit.dbt_cloud.page.test_content import run


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.04, "0.0 s"),
        (59.9, "59.9 s"),
        (60, "1 min 00 s"),
        (3599.7, "1 h 00 min"),
        (7325, "2 h 02 min"),
    ],
)
def test_duration_is_formatted_in_at_most_two_units(seconds: float, words: str) -> None:
    assert duration_text(seconds) == words


def at(minute: int, second: int) -> datetime:
    return datetime(2026, 11, 25, 10, minute, second, tzinfo=UTC)


def test_run_separates_queued_time_from_run_time() -> None:
    shown = Run.of(run(1), {})

    assert (shown.started_at, shown.queued, shown.took) == (at(1, 10), "10.0 s", "30.5 s")


def test_queued_run_has_neither_start_nor_run_time() -> None:
    queued = Run.of(run(1, status=1, started_at=None, finished_at=None), {})

    assert (queued.state, queued.started_at, queued.took) == ("queued", None, "")
    assert queued.queued.endswith(" min")  # waiting since 2026


def test_run_cancelled_in_the_queue_counts_queued_time_until_its_end() -> None:
    cancelled = Run.of(run(1, status=30, started_at=None), {})

    assert (cancelled.state, cancelled.started_at) == ("cancelled", None)
    assert (cancelled.queued, cancelled.took) == ("40.5 s", "")


def test_finished_run_without_an_end_has_no_run_time() -> None:
    shown = Run.of(run(1, finished_at=None), {})

    assert (shown.state, shown.queued, shown.took) == ("success", "10.0 s", "")


def test_run_raises_negative_times_to_zero() -> None:
    early = "2026-11-25 10:00:00+00:00"
    shown = Run.of(run(1, started_at=early, finished_at="2026-11-25 09:59:00+00:00"), {})

    assert (shown.queued, shown.took) == ("0.0 s", "0.0 s")


@pytest.mark.parametrize(
    "moment",
    [
        None,
        "",
        "soon",
        7,
        [],
        {},
        True,
        "2026-13-01 00:00:00+00:00",
        "0001-01-01 00:00:00+00:00",
        "9999-12-31 23:59:59-23:59",
        "2026-11-25 10:01",
        "2026-11-25T10:01:00Z",
        "2026-11-25 10:01:00.000000+05:30",
    ],
    ids=str,
)
@pytest.mark.parametrize("name", ["created_at", "started_at", "finished_at"])
@pytest.mark.parametrize("status", [1, 3, 10, 30])
def test_run_accepts_any_timestamp_value(name: str, moment: Any, status: int) -> None:
    shown = Run.of(run(1, status=status, **{name: moment}), {})

    assert shown.seconds is None or shown.seconds >= 0
    assert shown.queued == "" or shown.queued[0].isdecimal()


@pytest.mark.parametrize(
    ("moment", "read"),
    [
        ("2026-11-25 10:01", at(1, 0)),
        ("2026-11-25T10:01:00Z", at(1, 0)),
        ("2026-11-25 15:31:00.000000+05:30", at(1, 0)),
        ("soon", None),
    ],
)
def test_run_converts_timestamps_to_utc(moment: str, read: datetime | None) -> None:
    assert Run.of(run(1, started_at=moment), {}).started_at == read


@pytest.mark.parametrize("name", [*run(1)])
@pytest.mark.parametrize("value", [None, [], {}, "x", 7, True, -1.5], ids=str)
def test_run_with_unexpected_fields_is_displayed_or_left_out(
    name: str, value: Any, caplog: pytest.LogCaptureFixture
) -> None:
    odd, good = {**run(1), name: value}, run(2)

    shown = that_can_be_shown([odd, good])

    assert shown[-1] == good
    assert len(shown) == 2 or "Skipped a run without valid ids" in caplog.text
    for one in shown:
        assert Run.of(one, {}).id
    without = {key: one for key, one in run(1).items() if key != name}
    assert [Run.of(one, {}).id for one in that_can_be_shown([without])] in ([1], [])


@pytest.mark.parametrize("odd", [None, 7, "run", [], [{}], {}])
def test_values_that_are_not_runs_are_left_out_and_logged(
    odd: Any, caplog: pytest.LogCaptureFixture
) -> None:
    assert that_can_be_shown([odd]) == []
    assert "Skipped a run without valid ids" in caplog.text


def test_run_shows_an_unknown_status_by_its_number() -> None:
    assert Run.of(run(1, status=40), {}).state == "in status 40"


@pytest.mark.parametrize(
    ("status", "shape"),
    [
        *((1, "queued"), (2, "queued"), (3, "running"), (10, "success")),
        *((20, "error"), (30, "cancelled"), (40, "other")),
    ],
)
def test_run_has_a_shape_for_each_status(status: int, shape: str) -> None:
    assert Run.of(run(1, status=status), {}).shape == shape


@pytest.mark.parametrize("url", ["javascript:alert(1)", "data:text/html,hi", "//example.com/"])
def test_run_drops_urls_that_are_not_https(url: str) -> None:
    assert Run.of(run(1, href=url), {}).url == ""

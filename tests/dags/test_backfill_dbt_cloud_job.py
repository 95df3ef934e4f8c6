"""Tests of the event time that backfill_dbt_cloud_job passes to dbt."""

from __future__ import annotations

import runpy
import shlex
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pendulum
import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

FILE = Path(__file__).parents[2] / "dags" / "backfill_dbt_cloud_job.py"


def event_time(timezone: str, days: int = 1, **context: Any) -> tuple[str, str]:
    """Return the start and the end that the Dag passes, with its schedule in ``timezone``."""
    module = runpy.run_path(str(FILE))
    choose = module["backfill_dbt_cloud_job"]().get_task("choose_days").python_callable
    choose.__globals__["TIMEZONE"] = timezone
    (command,) = choose(params={"days": days}, **context)
    words = shlex.split(command)
    start, end = (words[words.index(f"--event-time-{name}") + 1] for name in ("start", "end"))
    return start, end


def interval(start: str, end: str) -> dict[str, Any]:
    """Return a data interval of UTC times, as Airflow passes it."""
    times = [pendulum.parse(time, tz="UTC") for time in (start, end)]
    return dict(zip(("data_interval_start", "data_interval_end"), times, strict=True))


@pytest.mark.parametrize(
    ("timezone", "days", "start", "end", "expected"),
    [
        ("UTC", 1, "2026-09-01T00:00", "2026-09-02T00:00", "2026-09-01T00:00:00"),
        ("UTC", 7, "2026-09-01T00:00", "2026-09-02T00:00", "2026-08-26T00:00:00"),
        # Midnight in Berlin is 22:00 UTC, and 23:00 from 2026-10-25 on.
        ("Europe/Berlin", 1, "2026-10-24T22:00", "2026-10-25T23:00", "2026-10-24T22:00:00"),
        ("Europe/Berlin", 2, "2026-10-25T23:00", "2026-10-26T23:00", "2026-10-24T22:00:00"),
        # In London it is 23:00 and 00:00 UTC: 24 hours earlier would miss an hour.
        ("Europe/London", 2, "2026-10-26T00:00", "2026-10-27T00:00", "2026-10-24T23:00:00"),
        ("Europe/London", 2, "2026-03-29T23:00", "2026-03-30T23:00", "2026-03-29T00:00:00"),
    ],
)
def test_interval_is_passed_in_utc_with_earlier_days_of_the_schedule_timezone(
    timezone: str, days: int, start: str, end: str, expected: str
) -> None:
    assert event_time(timezone, days, **interval(start, end)) == (expected, f"{end}:00")


@pytest.mark.parametrize(
    ("timezone", "expected"),
    [
        ("UTC", ("2026-09-04T00:00:00", "2026-09-05T00:00:00")),
        ("Europe/Berlin", ("2026-09-03T22:00:00", "2026-09-04T22:00:00")),
        ("America/New_York", ("2026-09-03T04:00:00", "2026-09-04T04:00:00")),
    ],
)
def test_manual_run_builds_the_newest_complete_day(
    timezone: str, expected: tuple[str, str]
) -> None:
    run_after = pendulum.datetime(2026, 9, 5, 3, 30)
    dag_run = SimpleNamespace(run_after=run_after)

    assert event_time(timezone, dag_run=dag_run) == expected
    no_length = interval("2026-09-05T03:30", "2026-09-05T03:30")
    assert event_time(timezone, dag_run=dag_run, **no_length) == expected


def test_interval_in_the_future_fails() -> None:
    end = pendulum.now("UTC").add(hours=1)

    with pytest.raises(AirflowFailException, match="ends in the future"):
        event_time("UTC", data_interval_start=end.subtract(days=1), data_interval_end=end)

"""Durations in dbt Cloud's formats."""

from __future__ import annotations

from datetime import timedelta

import pytest

from include.local_dbt_cloud.times import clock, humanized


@pytest.mark.parametrize(
    ("length", "expected_clock", "expected_words"),
    [
        (timedelta(0), "00:00:00", "0 minutes"),
        (timedelta(seconds=4.9), "00:00:04", "4 seconds"),
        (timedelta(minutes=56, seconds=48), "00:56:48", "56 minutes, 48 seconds"),
        (timedelta(hours=24, seconds=36), "24:00:36", "1 day"),
        (timedelta(days=17), "408:00:00", "2 weeks, 3 days"),
    ],
)
def test_clock_and_humanized_format_durations(
    length: timedelta, expected_clock: str, expected_words: str
) -> None:
    assert (clock(length), humanized(length)) == (expected_clock, expected_words)

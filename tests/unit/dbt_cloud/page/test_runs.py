"""A run as the page shows it."""

from __future__ import annotations

import pytest

from include.dbt_cloud.page.runs import Run, in_words
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
def test_a_time_is_told_in_two_units(seconds: float, words: str) -> None:
    assert in_words(seconds) == words


def test_a_run_that_waits_has_taken_no_time_yet() -> None:
    queued = Run.of(run(1, status=1, started_at=None, finished_at=None), {})

    assert (queued.state, queued.took) == ("queued", "")


def test_a_status_that_nobody_knew_is_shown_too() -> None:
    assert Run.of(run(1, status=40), {}).state == "in status 40"


@pytest.mark.parametrize("url", ["javascript:alert(1)", "data:text/html,hi", "//elsewhere/"])
def test_no_address_but_https_is_followed(url: str) -> None:
    assert Run.of(run(1, href=url), {}).url == ""

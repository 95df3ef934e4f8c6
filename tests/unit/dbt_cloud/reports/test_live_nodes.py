"""Tests of the nodes of an active run, with times worked out by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from include.dbt_cloud.reports.live_nodes import LiveNode, live_nodes

LOG = """\
18:59:50  Running with dbt=1.11.16
18:59:52  1 of 5 START sql view model shop.a ........ [RUN]
18:59:52  2 of 5 START sql table model shop.b ........ [RUN]
18:59:54  1 of 5 OK created sql view model shop.a ........ [\x1b[32mOK\x1b[0m in 1.91s]
18:59:54  3 of 5 START test unique_a ........ [RUN]
18:59:55  3 of 5 FAIL 2 unique_a ........ [FAIL 2 in 0.30s]
19:00:00  4 of 5 OK loaded seed file shop.c ........ [INSERT 249 in 2.00s]
"""
STARTED = datetime(2026, 11, 25, 18, 59, 47, tzinfo=UTC)
NOW = STARTED + timedelta(seconds=20)  # 19:00:07, 17 s after the first line


def run(*logs: str | None, started_at: datetime | None = STARTED) -> dict[str, Any]:
    text = started_at.isoformat() if started_at else None
    return {"run_steps": [{"logs": log, "started_at": text} for log in logs]}


def spans(nodes: list[LiveNode]) -> list[tuple[str, float | None, float | None, int | None]]:
    return [(one.node.label, one.start, one.end, one.thread) for one in nodes]


def test_nodes_start_at_their_first_line_and_busy_ones_end_now() -> None:
    nodes = live_nodes(run(None, LOG), NOW)

    assert spans(nodes) == [
        ("shop.a", 2, 4, 1),
        ("shop.b", 2, 17, 2),
        ("unique_a", 4, 5, 1),
        ("shop.c", 8, 10, 1),
    ]
    assert [(one.node.status, one.is_busy, one.is_test) for one in nodes] == [
        ("success", False, False),
        ("started", True, False),
        ("fail", False, True),
        ("success", False, False),
    ]
    assert nodes[3].node.rows == 249


@pytest.mark.parametrize("hours", [-11.5, -5, 5.75, 13])
def test_now_is_right_for_a_log_in_any_time_zone(hours: float) -> None:
    zone = timezone(timedelta(hours=hours))
    first = STARTED + timedelta(seconds=3)
    log = f"{first.astimezone(zone):%H:%M:%S}  1 of 1 START sql view model shop.a ... [RUN]"

    assert spans(live_nodes(run(log), NOW)) == [("shop.a", 0, 17, 1)]


def test_times_go_on_after_midnight_and_never_back() -> None:
    log = """\
23:59:58  1 of 2 START sql view model shop.a ... [RUN]
00:00:03  1 of 2 OK created sql view model shop.a ... [OK in 5.00s]
00:00:01  2 of 2 START sql view model shop.b ... [RUN]
"""
    started = datetime(2026, 11, 25, 23, 59, 58, tzinfo=UTC)

    nodes = live_nodes(run(log, started_at=started), started + timedelta(minutes=1))

    assert spans(nodes) == [("shop.a", 0, 5, 1), ("shop.b", 5, 60, 1)]


def test_model_that_a_later_step_builds_again_has_two_bars() -> None:
    again = "19:00:05  1 of 1 START sql view model shop.a ... [RUN]"

    nodes = live_nodes(run(LOG, again), NOW)

    assert [span for span in spans(nodes) if span[0] == "shop.a"] == [
        ("shop.a", 2, 4, 1),
        ("shop.a", 15, 17, 1),
    ]


@pytest.mark.parametrize("started_at", [STARTED, None])
def test_log_without_times_has_nodes_without_times(started_at: datetime | None) -> None:
    nodes = live_nodes(run(" Succeeded [  0.98s] model shop.a", started_at=started_at), NOW)

    assert spans(nodes) == [("shop.a", None, None, None)]
    assert nodes[0].node.seconds == 0.98


def test_busy_node_ends_at_the_last_line_if_the_start_of_its_step_is_unknown() -> None:
    nodes = live_nodes(run(LOG, started_at=None), NOW)

    assert [span for span in spans(nodes) if span[0] == "shop.b"] == [("shop.b", 2, 10, 2)]


@pytest.mark.parametrize("steps", [None, [], ["text"], [{"logs": 7}], [{}]])
def test_run_without_readable_steps_has_no_nodes(steps: Any) -> None:
    assert live_nodes({"run_steps": steps}, NOW) == []

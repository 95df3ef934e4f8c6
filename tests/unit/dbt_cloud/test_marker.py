from __future__ import annotations

import json

import pytest

from include.dbt_cloud.marker import Marker
from tests.unit.dbt_cloud.conftest import MakeTask

MARKER = Marker("0123456789abcdef", 2)
LIMIT = 255  # characters, of dbt Cloud


@pytest.mark.parametrize("reason", ["", "by hand", "x" * 1000, '{"parent":{"job":"dag.task"}}'])
def test_the_marker_is_found_in_any_cause(reason: str) -> None:
    cause = MARKER.cause(reason)

    assert len(cause) <= LIMIT
    assert cause.startswith(reason[:20].rstrip("}"))
    assert MARKER.group_in(cause) == 2
    assert Marker("0123456789abcdee", 2).group_in(cause) is None


def test_openlineage_still_reads_its_json() -> None:
    cause = MARKER.cause('{"parent":{"job":"dag.task"}}')

    assert json.loads(cause)["parent"] == {"job": "dag.task"}


def test_json_that_leaves_no_room_loses_to_the_marker() -> None:
    cause = MARKER.cause(json.dumps({"parent": "x" * 230}))

    assert MARKER.group_in(cause) == 2


def test_retries_share_a_marker_and_nothing_else_does(make_task: MakeTask) -> None:
    task, other = make_task(), make_task()

    def marker() -> Marker:
        return Marker.of(task.context(task.operator()))

    first = marker()
    task.try_number = 2
    assert marker() == first
    task.clear()
    assert marker().token == first.token
    assert marker().group > first.group
    assert Marker.of(other.context(other.operator())).token != first.token

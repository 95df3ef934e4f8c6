from __future__ import annotations

import json

import pytest

from include.dbt_cloud.idempotency_key import IdempotencyKey
from tests.unit.dbt_cloud.conftest import MakeTask

KEY = IdempotencyKey("0123456789abcdef", 2)
LIMIT = 255  # characters, of dbt Cloud


@pytest.mark.parametrize(
    "reason", ["", "by hand", "x" * 1000, '{"parent":{"job":"dag.task"}}', "{daily} build", "7"]
)
def test_the_key_is_found_in_any_cause(reason: str) -> None:
    cause = KEY.cause(reason)

    assert len(cause) <= LIMIT
    assert cause.startswith(reason[:20].rstrip("}"))
    assert KEY.generation_in(cause) == 2
    assert IdempotencyKey("0123456789abcdee", 2).generation_in(cause) is None


def test_openlineage_still_reads_its_json() -> None:
    cause = KEY.cause('{"parent":{"job":"dag.task"}}')

    assert json.loads(cause)["parent"] == {"job": "dag.task"}


def test_json_that_leaves_no_room_loses_to_the_key() -> None:
    cause = KEY.cause(json.dumps({"parent": "x" * 230}))

    assert KEY.generation_in(cause) == 2


def test_retries_share_a_key_and_nothing_else_does(make_task: MakeTask) -> None:
    task, other = make_task(), make_task()

    def key() -> IdempotencyKey:
        return IdempotencyKey.of(task.context(task.operator()))

    first = key()
    task.try_number = 2
    assert key() == first
    task.clear()
    assert key().token == first.token
    assert key().generation > first.generation
    assert IdempotencyKey.of(other.context(other.operator())).token != first.token

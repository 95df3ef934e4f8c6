from __future__ import annotations

import json

import pytest

from include.dbt_cloud.run.idempotency_key import IdempotencyKey, without_key
from tests.unit.dbt_cloud.conftest import MakeTask

KEY = IdempotencyKey("0123456789abcdef")
LIMIT = 255  # characters, of dbt Cloud


@pytest.mark.parametrize(
    "reason", ["", "by hand", "x" * 1000, '{"parent":{"job":"dag.task"}}', "{daily} build", "7"]
)
def test_idempotency_key_is_found_in_its_cause_for_any_reason(reason: str) -> None:
    cause = KEY.cause(reason)

    assert len(cause) <= LIMIT
    assert cause.startswith(reason[:20].rstrip("}"))
    assert KEY.is_in(cause)
    assert not IdempotencyKey("0123456789abcdee").is_in(cause)


def test_idempotency_key_preserves_openlineage_json() -> None:
    cause = KEY.cause('{"parent":{"job":"dag.task"}}')

    assert json.loads(cause)["parent"] == {"job": "dag.task"}


@pytest.mark.parametrize(
    "reason", ["", "by hand", '{"parent":{"job":"dag.task"}}', "{}", "{daily} build", "x" * 220]
)
def test_without_key_returns_the_reason(reason: str) -> None:
    assert without_key(KEY.cause(reason)) == reason
    assert KEY.token not in without_key(f"Airflow starts it again ({KEY})")


def test_idempotency_key_is_kept_when_json_leaves_no_room() -> None:
    cause = KEY.cause(json.dumps({"parent": "x" * 230}))

    assert KEY.is_in(cause)
    assert len(cause) <= LIMIT


def test_idempotency_key_is_shared_by_tries_and_clears_of_one_task(make_task: MakeTask) -> None:
    task, other = make_task(), make_task()

    def key() -> IdempotencyKey:
        return IdempotencyKey.of(task.context(task.operator()))

    first = key()
    task.try_number = 2
    task.clear()
    assert key() == first
    assert IdempotencyKey.of(other.context(other.operator())) != first

"""Tests that any payload raises only documented errors and yields storable values."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import pytest

from include.dbt_cloud.api.loose_json import LARGEST
from include.dbt_cloud.api.responses import DbtCloudRefusedError, NoAnswerError, read_response
from include.dbt_cloud.events import FinishedRun
from include.dbt_cloud.events.deduplication import earliest, run_of
from include.dbt_cloud.events.finished_run import EXTRA
from include.dbt_cloud.events.listed import Cursor, read_page
from include.dbt_cloud.events.receiver import RUN_COMPLETED, finished_run
from include.dbt_cloud.events.senders import RefusedError, Sender
from tests.unit.dbt_cloud.events.test_assets import RUN
from tests.unit.dbt_cloud.events.test_finished_run import ACCOUNT, LISTED, WEBHOOK

pytest.importorskip("hypothesis", reason="needs requirements-dev.txt")
from hypothesis import given, settings  # comes with schemathesis
from hypothesis import strategies as some

QUICKLY = settings(max_examples=100)
NOW = datetime.now(UTC).isoformat()
BODY = WEBHOOK | {"timestamp": NOW, "eventType": RUN_COMPLETED}
SENDER = Sender("dbt_cloud_default", ACCOUNT, ACCOUNT.host, ["secret"])
ANY_TEXT = some.text(some.characters(exclude_categories=()), max_size=9)  # with lone surrogates
NUMBERS = some.one_of(
    some.integers(),
    some.floats(),
    some.sampled_from([10**400, -(10**400), 2**63, 2**63 - 1, 0, 1e308 * 10, True]),
)
TIMES = some.sampled_from(
    [
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "10000-01-01",
    ]
)
SCALARS = some.one_of(some.none(), some.booleans(), NUMBERS, ANY_TEXT, TIMES, some.just("7"))
VALUES = some.recursive(
    SCALARS,
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=5,
)


def varied(payload: dict[str, Any]) -> some.SearchStrategy[dict[str, Any]]:
    """Return the payload with replaced, missing and additional fields."""
    replaced = some.dictionaries(some.sampled_from([*payload]), VALUES, max_size=3)
    left_out = some.sets(some.sampled_from([*payload]), max_size=2)
    more = some.dictionaries(ANY_TEXT, VALUES, max_size=1)
    changes = some.tuples(replaced, left_out, more)
    return changes.map(
        lambda made: {
            name: value
            for name, value in (made[2] | payload | made[0]).items()
            if name not in made[1] or name in made[0]
        }
    )


WEBHOOKS = some.one_of(
    VALUES, varied(BODY), varied(WEBHOOK["data"]).map(lambda data: BODY | {"data": data})
)
LISTED_RUNS = some.one_of(VALUES, varied(LISTED))


def require_storable(run: FinishedRun) -> None:
    fields = asdict(run)
    whole = json.dumps(fields, ensure_ascii=False, allow_nan=False).encode()
    assert b"\\u0000" not in whole
    assert all(0 <= value <= LARGEST for value in fields.values() if isinstance(value, int))
    assert FinishedRun.of_extra(run.as_extra()) == run
    assert earliest(run)


@QUICKLY
@given(WEBHOOKS)
def test_any_webhook_is_read_or_rejected_with_a_reason(payload: Any) -> None:
    refused, run = None, None
    try:
        run, _account = finished_run(json.dumps(payload).encode(), [SENDER])
    except RefusedError as error:
        refused = error

    if refused:
        assert refused.status in (400, 403)
        assert str(refused).isprintable()
        assert len(str(refused)) < 300
    if run:
        require_storable(run)


@QUICKLY
@given(some.lists(LISTED_RUNS, max_size=3) | VALUES)
def test_read_page_returns_readable_runs_beside_malformed_ones(page: Any) -> None:
    if not isinstance(page, list):
        with pytest.raises(ValueError, match="for a list of runs"):
            read_page(page, ACCOUNT)
        return

    runs, unreadable = read_page([*page, LISTED], ACCOUNT)

    assert runs[-1][1] == FinishedRun.of_listed(LISTED, ACCOUNT)
    for _at, run in runs:
        require_storable(run)
    for run_id, reason in unreadable.items():
        assert len(run_id) < 300
        assert (run_id + reason).isprintable()


@QUICKLY
@given(some.one_of(VALUES, varied(RUN.as_extra()[EXTRA])))
def test_run_of_reads_any_event_extra_as_a_run_or_none(value: Any) -> None:
    for extra in (value, {EXTRA: value}, {"from_trigger": True, "payload": {EXTRA: value}}):
        if run := run_of(extra):
            require_storable(run)


@QUICKLY
@given(some.one_of(VALUES, varied({"until": NOW, "known": [7], "account": f"{ACCOUNT}"})))
def test_cursor_of_json_returns_a_cursor_or_none(stored: Any) -> None:
    if cursor := Cursor.of_json(stored):
        assert Cursor.of_json(json.loads(json.dumps(cursor.as_json()))) == cursor


def cleaned(text: str) -> str:
    """Return JSON with storable texts only."""
    return re.sub(r"\\u0000|[\ud800-\udfff]", "\ufffd", text)


@QUICKLY
@given(
    some.integers(200, 599),
    some.one_of(VALUES, varied({"status": {"user_message": "No."}, "data": None})),
)
def test_read_response_returns_storable_data_or_raises(status: int, body: Any) -> None:
    response = json.dumps(body).encode()
    if status < 400 and isinstance(body, dict):
        read = json.dumps(read_response(status, {}, response), ensure_ascii=False)
        assert read == cleaned(json.dumps(json.loads(response), ensure_ascii=False))
        return

    with pytest.raises((DbtCloudRefusedError, NoAnswerError)) as error:
        read_response(status, {}, response)

    assert "\0" not in str(error.value)
    assert str(error.value).encode()

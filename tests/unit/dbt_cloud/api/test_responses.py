"""Tests of the classification of responses, and of the wait before the next call."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

pytest.importorskip("hypothesis")  # not in the Astro image
from hypothesis import given
from hypothesis import strategies as st

from include.dbt_cloud.airflow.compat import AirflowFailException
from include.dbt_cloud.api.responses import (
    LONGEST_WAIT,
    DbtCloudRefusedError,
    NoAnswerError,
    back_off,
    read_data,
    read_response,
    seconds,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
)
NO_TEXTS: list[Any] = [None, 404, True, [], {"detail": "No."}, ""]


@pytest.mark.parametrize(
    ("header", "wait"),
    [
        (None, 0),
        ("", 0),
        ("30", 30),
        ("  30 ", 30),
        ("1.5", 1.5),
        ("0", 0),
        ("-0", 0),
        ("-5", 0),
        ("nan", 0),
        ("soon", 0),
        ("30, 60", 0),
    ],
)
def test_seconds_reads_a_number(header: str | None, wait: float) -> None:
    assert seconds(header) == wait


@pytest.mark.parametrize("header", ["inf", "-inf", "Infinity", "1e9", "1e400", "9" * 5000])
def test_back_off_caps_out_of_range_retry_after_numbers(header: str) -> None:
    assert 1 <= back_off(1, seconds(header)) <= LONGEST_WAIT


@pytest.mark.parametrize(
    "form", ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"]
)
def test_seconds_reads_each_form_of_a_date(form: str) -> None:
    """RFC 9110, section 5.6.7, has three date formats."""
    soon = datetime.now(UTC) + timedelta(seconds=40)

    assert 30 < seconds(soon.strftime(form)) <= 40
    assert seconds((soon - timedelta(days=1)).strftime(form)) == 0


def test_back_off_caps_a_distant_retry_after_date() -> None:
    tomorrow = format_datetime(datetime.now(UTC) + timedelta(days=1), usegmt=True)

    assert back_off(1, seconds(tomorrow)) == LONGEST_WAIT


@pytest.mark.parametrize(
    "header",
    [
        "Mon, 32 Nov 2026 08:49:37 GMT",
        "Sun, 06 Nov 99999 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 +99999999999",
        "Sun, 06 Nov 1994 08:49:37 -2400",
        "Sun, 06 Nov 0000 00:00:00 +2359",
    ],
)
def test_seconds_ignores_an_impossible_date(header: str) -> None:
    assert seconds(header) == 0


@given(st.text(max_size=40) | st.from_regex(r"\A[A-Z][a-z]{2}, .{0,30}(GMT|[+-]\d{4,9})\Z"))
def test_seconds_accepts_any_text(header: str) -> None:
    wait = back_off(1, seconds(header))

    assert math.isfinite(wait)
    assert 1 <= wait <= LONGEST_WAIT


@given(st.integers(min_value=1), st.floats(), st.floats(min_value=0, max_value=LONGEST_WAIT))
def test_back_off_is_never_longer_than_a_minute(
    failures: int, retry_after: float, longest: float
) -> None:
    assert 0 <= back_off(failures, retry_after, longest) <= LONGEST_WAIT


def test_back_off_grows_and_follows_retry_after() -> None:
    assert [back_off(n) for n in (1, 2, 3, 20, 5000)] == [1, 2, 4, 60, 60]
    assert back_off(1, retry_after=30) == 30
    assert back_off(1, retry_after=30, longest=20) == 30
    assert back_off(9, longest=20) == 20
    assert back_off(1, retry_after=3600) == LONGEST_WAIT


@pytest.mark.parametrize("status", [429, 500, 503])
def test_no_answer_error_carries_retry_after(status: int) -> None:
    with pytest.raises(NoAnswerError) as raised:
        read_response(status, {"Retry-After": " 7 "}, b"<html>")

    assert raised.value.retry_after == 7


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"status": {"user_message": "No such run."}}, "No such run."),
        ({"status": {"user_message": "No \0 such \ud83d run."}}, "No \ufffd such \ufffd run."),
        ({"status": "No such run."}, "No such run."),
        *(({"status": value}, "no reason given") for value in NO_TEXTS),
        *(
            ({"status": {"user_message": value}, "data": value}, "no reason given")
            for value in NO_TEXTS
        ),
        ({}, "no reason given"),
    ],
    ids=ascii,
)
def test_refused_error_reads_the_reason_or_reports_none(body: Any, reason: str) -> None:
    with pytest.raises(DbtCloudRefusedError) as refused:
        read_response(404, {}, json.dumps(body).encode())

    assert (refused.value.status, refused.value.reason) == (404, reason)
    assert isinstance(refused.value, AirflowFailException)  # no retry


@pytest.mark.parametrize("status", [200, 404])
@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"\xff\xfe", b"[" * 100_000, b"9" * 5000, b"[]", b'"No."', b"null", b"404"],
    ids=lambda body: body[:10],
)
def test_read_response_raises_for_a_body_that_is_not_an_object(status: int, body: bytes) -> None:
    with pytest.raises(NoAnswerError, match=f"dbt Cloud returned {status} with"):
        read_response(status, {}, body)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        (rb"no \u0000 table", "no \ufffd table"),
        (rb"half \ud83d", "half \ufffd"),
        (rb"half \uDE00", "half \ufffd"),
        (b"half \xed\xa0\xbd", "half \ufffd"),
        (rb"whole \ud83d\ude00", "whole \U0001f600"),
        ("whole \U0001f600".encode(), "whole \U0001f600"),
        (rb"a path C:\\u0000", r"a path C:\u0000"),
    ],
)
def test_read_response_replaces_characters_that_cannot_be_stored(text: bytes, read: str) -> None:
    body = b'{"data": {"nodes": [{"message": "TEXT", "TEXT": 1}], "rows": 7, "sql": null}}'

    content = read_response(200, {}, body.replace(b"TEXT", text))

    assert content == {"data": {"nodes": [{"message": read, read: 1}], "rows": 7, "sql": None}}


@given(JSON)
def test_read_response_preserves_all_other_values(value: Any) -> None:
    data = json.loads(json.dumps(value))

    assert read_response(200, {}, json.dumps({"data": value}).encode()) == {"data": data}


@pytest.mark.parametrize("path", ["runs/", "runs/7/", "jobs/7/run/", "runs/7/cancel/"])
@pytest.mark.parametrize("data", [*NO_TEXTS, {"id": 7}, [{"id": 7}]], ids=ascii)
def test_read_data_raises_for_missing_or_mistyped_data(path: str, data: Any) -> None:
    """The data of a list is a list, of anything else an object."""
    bodies = [{}, {"data": data}, {"error": data}]
    is_good = isinstance(data, list if path == "runs/" else dict)

    for content in bodies:
        body = json.dumps(content).encode()
        if is_good and "data" in content:
            assert read_data(path, 200, {}, body) == data
            continue
        with pytest.raises(NoAnswerError, match=f"dbt Cloud returned 200 without data for {path}"):
            read_data(path, 200, {}, body)


def test_read_data_returns_the_whole_body_of_an_artifact() -> None:
    path = "runs/7/artifacts/run_results.json"

    assert read_data(path, 200, {}, b'{"results": []}') == {"results": []}
    with pytest.raises(NoAnswerError):
        read_data(path, 200, {}, b"[]")

"""Classify HTTP responses of dbt Cloud: data, a refusal, or no usable answer."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from ..airflow.compat import AirflowException, AirflowFailException
from .text import read_json

NOT_FOUND, TOO_MANY_REQUESTS, NOT_IMPLEMENTED = 404, 429, 501
# Seconds between two attempts, also with a longer ``Retry-After``. dbt Cloud limits calls by minute
# (https://docs.getdbt.com/docs/dbt-apis/rate-limits), so a longer wait has no benefit.
LONGEST_WAIT = 60.0


class DbtCloudRefusedError(AirflowFailException):
    """dbt Cloud refused the call. Airflow does not retry the task."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"dbt Cloud returned {status}: {reason}")
        self.status = status
        self.reason = reason


class NoAnswerError(AirflowException):
    """dbt Cloud is unreachable, overloaded or broken, and may have executed the call.

    ``retry_after`` is the header's wait in seconds, or 0. With ``is_undone`` dbt Cloud certainly
    did not execute the call.
    """

    def __init__(self, reason: str, retry_after: float = 0, is_undone: bool = False) -> None:
        super().__init__(reason)
        self.retry_after = retry_after
        self.is_undone = is_undone


def read_data(path: str, status: int, headers: Mapping[str, str], body: bytes) -> Any:
    """Return the ``data`` of a good response, or a whole artifact; raise as ``read_response``.

    Lists, such as ``runs/``, must have a list as data, and all others an object.
    """
    content = read_response(status, headers, body)
    if "/artifacts/" in path:
        return content
    data = content.get("data")
    if not isinstance(data, list if path.count("/") == 1 else dict):
        raise NoAnswerError(f"dbt Cloud returned {status} without data for {path}")
    return data


def read_response(status: int, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
    """Return the JSON object of a good response, with storable text only.

    Raises:
        DbtCloudRefusedError: dbt Cloud refused the call.
        NoAnswerError: the response is 429, 5xx, or not a JSON object.
    """
    if status == TOO_MANY_REQUESTS:
        wait = seconds(headers.get("Retry-After"))
        raise NoAnswerError("dbt Cloud returned 429: too many requests", wait, is_undone=True)
    if status >= 500 and status != NOT_IMPLEMENTED:
        raise NoAnswerError(f"dbt Cloud returned {status}", seconds(headers.get("Retry-After")))
    try:
        content = read_json(body)
    except (ValueError, RecursionError):  # thousands of brackets
        raise NoAnswerError(f"dbt Cloud returned {status} without JSON") from None
    if not isinstance(content, dict):
        raise NoAnswerError(f"dbt Cloud returned {status} with JSON that is not an object")
    if status >= 400:
        raise DbtCloudRefusedError(status, user_message(content) or "no reason given")
    return content


def user_message(content: dict[str, Any]) -> str:
    """Return the reason of a refusal; empty if it is missing or not text."""
    status = content.get("status")
    message = status.get("user_message") if isinstance(status, dict) else status
    return message.strip() if isinstance(message, str) else ""


def back_off(failures: int, retry_after: float = 0, longest: float = LONGEST_WAIT) -> float:
    """Return the seconds to wait after consecutive failures: 1, 2, 4 and so on, up to ``longest``.

    The wait is at least ``retry_after``, but never longer than ``LONGEST_WAIT``.
    """
    growing = 2.0 ** min(failures - 1, 20)  # an outage can last days
    return max(min(growing, longest), min(retry_after, LONGEST_WAIT))


def seconds(retry_after: str | None) -> float:
    """Return a ``Retry-After`` header as a finite number of seconds from now.

    It is a number or a date (RFC 9110, section 10.2.3). Past dates and invalid values are 0.
    """
    text = retry_after or "0"
    try:
        wait = float(text)
    except ValueError:
        wait = _seconds_until(text)
    return min(max(0.0, wait), sys.float_info.max)


def _seconds_until(date: str) -> float:
    try:
        moment = parsedate_to_datetime(date)
    except (ValueError, OverflowError, IndexError, TypeError):
        return 0.0
    if moment.tzinfo is None:  # the oldest of the three date formats has none
        moment = moment.replace(tzinfo=UTC)
    return (moment - datetime.now(UTC)).total_seconds()

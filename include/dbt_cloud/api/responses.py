"""What an HTTP answer of dbt Cloud means: data, a refusal, or no answer at all."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from ..airflow.compat import AirflowException, AirflowFailException
from .text import read_json

NOT_FOUND, TOO_MANY_REQUESTS, NOT_IMPLEMENTED = 404, 429, 501
# Seconds between two tries, whatever ``Retry-After`` says. dbt Cloud counts calls by the minute
# (https://docs.getdbt.com/docs/dbt-apis/rate-limits), so a longer wait gains nothing.
LONGEST_WAIT = 60.0


class DbtCloudRefusedError(AirflowFailException):
    """dbt Cloud refused the call. Airflow does not retry a task that raises it."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"dbt Cloud answered {status}: {reason}")
        self.status = status
        self.reason = reason


class NoAnswerError(AirflowException):
    """dbt Cloud is unreachable, overloaded or broken; what was asked may have been done.

    ``retry_after`` is the wait in seconds that dbt Cloud asks for, if it does. ``is_undone`` says
    that dbt Cloud certainly did nothing.
    """

    def __init__(self, reason: str, retry_after: float = 0, is_undone: bool = False) -> None:
        super().__init__(reason)
        self.retry_after = retry_after
        self.is_undone = is_undone


def read_data(path: str, status: int, headers: Mapping[str, str], body: bytes) -> Any:
    """Return the ``data`` of a good answer, or all of an artifact; raises as ``read_response``.

    The data of a list, such as ``runs/``, is a list, and that of all else an object.
    """
    answer = read_response(status, headers, body)
    if "/artifacts/" in path:
        return answer
    data = answer.get("data")
    if not isinstance(data, list if path.count("/") == 1 else dict):
        raise NoAnswerError(f"dbt Cloud answered {status} without data for {path}")
    return data


def read_response(status: int, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
    """The JSON of a good answer; raises DbtCloudRefusedError or NoAnswerError for any other.

    Whatever is in its texts, they can be stored: in XComs, asset events, files and databases.
    """
    if status == TOO_MANY_REQUESTS:
        wait = seconds(headers.get("Retry-After"))
        raise NoAnswerError("dbt Cloud answered 429: too many requests", wait, is_undone=True)
    if status >= 500 and status != NOT_IMPLEMENTED:
        raise NoAnswerError(f"dbt Cloud answered {status}", seconds(headers.get("Retry-After")))
    try:
        answer = read_json(body)
    except (ValueError, RecursionError):  # thousands of brackets
        raise NoAnswerError(f"dbt Cloud answered {status} without JSON") from None
    if not isinstance(answer, dict):
        raise NoAnswerError(f"dbt Cloud answered {status} with something else than an object")
    if status >= 400:
        raise DbtCloudRefusedError(status, user_message(answer) or "no reason given")
    return answer


def user_message(answer: dict[str, Any]) -> str:
    """The reason of a refusal; empty if the answer has none, or has it in another form."""
    said = answer.get("status")
    message = said.get("user_message") if isinstance(said, dict) else said
    return message.strip() if isinstance(message, str) else ""


def back_off(failures: int, retry_after: float = 0, longest: float = LONGEST_WAIT) -> float:
    """Seconds to wait after so many failures in a row: 1, 2, 4 and so on, up to ``longest``.

    At least ``retry_after``, which is what dbt Cloud asks for, and at most ``LONGEST_WAIT``.
    """
    growing = 2.0 ** min(failures - 1, 20)  # a service can be away for days
    return max(min(growing, longest), min(retry_after, LONGEST_WAIT))


def seconds(retry_after: str | None) -> float:
    """Read a ``Retry-After`` header as a finite number of seconds from now.

    It is a number or a date (RFC 9110, section 10.2.3). Anything else, and what lies in the past,
    is 0.
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
    if moment.tzinfo is None:  # the oldest of the three forms of a date names none
        moment = moment.replace(tzinfo=UTC)
    return (moment - datetime.now(UTC)).total_seconds()

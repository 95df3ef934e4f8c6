"""What an HTTP answer of dbt Cloud means: data, a refusal, or no answer at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from .airflow_compat import AirflowException

NOT_FOUND, TOO_MANY_REQUESTS, NOT_IMPLEMENTED = 404, 429, 501


class DbtCloudRefusedError(AirflowException):
    """dbt Cloud understood the call and will not do it: another try changes nothing."""

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


def read_response(status: int, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
    """The JSON of a good answer; raises DbtCloudRefusedError or NoAnswerError for any other."""
    if status == TOO_MANY_REQUESTS:
        wait = seconds(headers.get("Retry-After"))
        raise NoAnswerError("dbt Cloud answered 429: too many requests", wait, is_undone=True)
    if status >= 500 and status != NOT_IMPLEMENTED:
        raise NoAnswerError(f"dbt Cloud answered {status}", seconds(headers.get("Retry-After")))
    try:
        answer = json.loads(body)
    except ValueError:
        raise NoAnswerError(f"dbt Cloud answered {status} without JSON") from None
    if not isinstance(answer, dict):
        raise NoAnswerError(f"dbt Cloud answered {status} with something else than an object")
    if status >= 400:
        said = answer.get("status") or {}
        raise DbtCloudRefusedError(status, said.get("user_message") or "no reason given")
    return answer


def back_off(failures: int, retry_after: float = 0, longest: float = 60.0) -> float:
    """Seconds to wait after so many failures in a row: 1, 2, 4 and so on, up to ``longest``.

    At least ``retry_after``, which is what dbt Cloud asks for.
    """
    growing = 2.0 ** min(failures - 1, 20)  # a service can be away for days
    return max(min(growing, longest), retry_after)


def seconds(retry_after: str | None) -> float:
    """0 for a missing header and for one that names a date."""
    try:
        return max(0.0, float(retry_after or 0))
    except ValueError:
        return 0.0

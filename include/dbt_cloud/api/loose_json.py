"""Read JSON of other programs: null, missing and mistyped values become empty."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

from .text import storable

LARGEST = 2**63 - 1  # a database's bigint, and dbt Cloud's ids


def record(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def records(value: Any) -> list[dict[str, Any]]:
    """Return the objects of a list."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def text(value: Any) -> str:
    """Return a value as text that every file and database can store.

    >>> text(None), text({"code": 7})
    ('', "{'code': 7}")
    """
    return "" if value is None else storable(str(value))


def number(value: Any) -> float | None:
    """Return a number or numeric text as a finite number.

    >>> number("1.5"), number(10**400), number(float("nan")), number(None)
    (1.5, None, None, None)
    """
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def identifier(value: Any) -> int | None:
    """Return the value if it is a valid id of dbt Cloud."""
    is_one = isinstance(value, int) and not isinstance(value, bool) and 0 < value <= LARGEST
    return value if is_one else None


def moment(value: Any) -> datetime | None:
    """Return an ISO 8601 time in UTC; a time without an offset is UTC.

    Return None for years before 2000 or after 9000, since arithmetic at the limits overflows.

    >>> moment("2026-11-25 15:31:00+05:30"), moment("0001-01-01"), moment(7)
    (datetime.datetime(2026, 11, 25, 10, 1, tzinfo=datetime.timezone.utc), None, None)
    """
    try:
        found = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    if not 2000 <= found.year <= 9000:
        return None
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)

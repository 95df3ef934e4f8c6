"""Values of JSON that other programs write: what is null, missing or of another type is empty."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

from .text import storable

LARGEST = 2**63 - 1  # of the numbers that databases and dbt Cloud count with


def record(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def records(value: Any) -> list[dict[str, Any]]:
    """Return the objects of a list."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def text(value: Any) -> str:
    """Return a value as text that every file and database takes.

    >>> text(None), text({"code": 7})
    ('', "{'code': 7}")
    """
    return "" if value is None else storable(str(value))


def number(value: Any) -> float | None:
    """Return a finite number, also of text.

    >>> number("1.5"), number(10**400), number(float("nan")), number(None)
    (1.5, None, None, None)
    """
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def identifier(value: Any) -> int | None:
    """Return a number by which dbt Cloud knows something."""
    is_one = isinstance(value, int) and not isinstance(value, bool) and 0 < value <= LARGEST
    return value if is_one else None


def moment(value: Any) -> datetime | None:
    """Return a time of ISO 8601 in UTC, which it is also without an offset.

    None for a year that dbt Cloud never had, too: arithmetic with the first ones overflows.

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

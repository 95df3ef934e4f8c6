"""Validate values of webhooks, lists and asset events, which may be malformed.

Each function raises ``ValueError`` with the reason for an invalid value.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from reprlib import repr as beginning_of
from typing import Any

from ..api.loose_json import LARGEST
from ..api.text import storable

DIGITS = re.compile(r"[0-9]{1,19}")
EARLIEST_YEAR = 1970  # services write year 1 for a missing time


def mapping(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{name} is {beginning_of(value)}, not an object")
    return value


def number(name: str, value: Any) -> int:
    """Return a whole number, which is a number in lists and text in webhooks."""
    is_text = isinstance(value, str) and DIGITS.fullmatch(value)
    is_number = isinstance(value, int) and not isinstance(value, bool)
    if (is_text or is_number) and 0 <= int(value) <= LARGEST:
        return int(value)
    raise ValueError(f"{name} is {beginning_of(value)}, not a number from 0 to 2^63-1")


def number_or_none(name: str, value: Any) -> int | None:
    return None if value in (None, "") else number(name, value)


def text(value: Any) -> str:
    """Return storable text; empty for other types."""
    return storable(value) if isinstance(value, str) else ""


def moment(name: str, value: Any) -> datetime:
    """Return a time in UTC; dbt Cloud's times without an offset are UTC."""
    try:
        read = datetime.fromisoformat(value)
        if read.year < EARLIEST_YEAR:
            raise ValueError
        return read.astimezone(UTC) if read.tzinfo else read.replace(tzinfo=UTC)
    except (OverflowError, TypeError, ValueError):
        raise ValueError(f"{name} is {beginning_of(value)}, not a time since 1970") from None


def iso(name: str, value: Any) -> str:
    """Return a time to the second, since webhooks and lists differ in precision."""
    return moment(name, value).isoformat(timespec="seconds")


def iso_or_empty(name: str, value: Any) -> str:
    is_missing = value in (None, "") or (isinstance(value, str) and value.startswith("0001-"))
    return "" if is_missing else iso(name, value)

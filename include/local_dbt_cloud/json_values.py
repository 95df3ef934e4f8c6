"""JSON from outside, stricter than Python's own reader: what it lets in can be stored and sent."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

from include.local_dbt_cloud.errors import InvalidRequestError

MAX_DEPTH = 32
MAX_INTEGER = 2**63 - 1
SURROGATES = "\ud800", "\udfff"


def parse_json_object(content: bytes) -> dict[str, Any]:
    """Raises InvalidRequestError for everything but one well-formed object.

    Also refused: the same key twice, NaN and infinite numbers, integers beyond 64 bits, null
    bytes, half of a surrogate pair, and more than 32 levels.
    """
    try:
        values = json.loads(content, object_pairs_hook=_unique, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise InvalidRequestError("The body is not valid JSON.") from None
    if not isinstance(values, dict):
        raise InvalidRequestError("The body must be a JSON object.")
    check_values(values)
    return values


def check_values(values: Any) -> None:
    """Raises InvalidRequestError for values that no database or answer can hold."""
    level = [values]
    for _ in range(MAX_DEPTH):
        level = [inner for value in level for inner in _inside(value)]
        if not level:
            return
    raise InvalidRequestError(f"The body has more than {MAX_DEPTH} levels.")


def _inside(value: Any) -> list[Any]:
    """What a value consists of, once it is known to be sound itself."""
    if isinstance(value, dict):
        return [*value.keys(), *value.values()]
    if isinstance(value, list):
        return value
    if isinstance(value, str) and not _is_sound_text(value):
        raise InvalidRequestError("The body has a null byte or half of a surrogate pair.")
    if isinstance(value, int) and abs(value) > MAX_INTEGER:
        raise InvalidRequestError("The body has an integer of more than 64 bits.")
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidRequestError("The body has a number that is not finite.")
    return []


def _is_sound_text(text: str) -> bool:
    first, last = SURROGATES
    return "\0" not in text and not any(first <= letter <= last for letter in text)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise InvalidRequestError("The body has the same key twice.")
    return values


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")

"""Make text storable in every database and message."""

from __future__ import annotations

import json
import re
from typing import Any

UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")
# Their forms in JSON, including whole pairs. Two patterns, since a joined one is ten times slower.
WRITTEN = (re.compile(rb"\\u(?:0000|[dD][89a-fA-F])"), re.compile(rb"\xed[\xa0-\xbf]"))
REPLACEMENT = "\ufffd"


def storable(text: str) -> str:
    """Return ``text`` with U+FFFD in place of each NUL and each lone surrogate.

    JSON allows both. PostgreSQL cannot read JSON that contains NUL, and UTF-8 has no surrogates.
    """
    return UNSTORABLE.sub(REPLACEMENT, text)


def read_json(body: bytes) -> Any:
    """Return parsed JSON with all names and texts made ``storable``.

    Raise ``ValueError``, or ``RecursionError`` for deep nesting.
    """
    value = json.loads(body)
    return _storable(value) if any(one.search(body) for one in WRITTEN) else value


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, list):
        return [_storable(one) for one in value]
    if isinstance(value, dict):
        return {storable(name): _storable(one) for name, one in value.items()}
    return value

"""Text that every database can store and every message can carry."""

from __future__ import annotations

import json
import re
from typing import Any

UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")
# How JSON writes these, and whole pairs. Two, since one of both takes ten times as long.
WRITTEN = (re.compile(rb"\\u(?:0000|[dD][89a-fA-F])"), re.compile(rb"\xed[\xa0-\xbf]"))
REPLACEMENT = "\ufffd"


def storable(text: str) -> str:
    """Return ``text`` with U+FFFD in place of each NUL and each half of a surrogate pair.

    JSON can hold both. PostgreSQL's JSON cannot be read with them, and UTF-8 has no lone surrogate.
    """
    return UNSTORABLE.sub(REPLACEMENT, text)


def read_json(body: bytes) -> Any:
    """Return what JSON says, with each text and name in it as ``storable`` returns it.

    Raises ValueError or RecursionError.
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

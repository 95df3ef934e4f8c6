"""``.env``, parsed by python-dotenv without interpolation; a byte order mark is allowed."""

from __future__ import annotations

import re
from io import StringIO
from pathlib import Path

from dotenv.parser import parse_stream

from include.local_airflow.errors import LaunchError

LINE_START = re.compile(r"\s*(?:export\s+)?([A-Za-z_]\w*)\s*[=:]")


def read_dotenv(file: Path) -> dict[str, str]:
    """Return the names and values; a missing value is empty.

    If a line cannot be parsed, for example because of nested quotes, its value is the text after
    the name, so that the check of a connection reports it.

    Raises:
        LaunchError: the file is not UTF-8 text.
    """
    try:
        text = file.read_text(encoding="utf-8-sig") if file.exists() else ""
    except UnicodeDecodeError as error:
        raise LaunchError(f"{file.name} is not UTF-8 text: save it as UTF-8.") from error
    values = {}
    for line in parse_stream(StringIO(text)):
        if line.key:
            values[line.key] = line.value or ""
        elif line.error and (name := LINE_START.match(line.original.string)):
            values[name[1]] = line.original.string[name.end() :].strip()
    return values

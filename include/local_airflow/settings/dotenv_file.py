"""`.env`, as python-dotenv reads it: without interpolation, with or without a byte order mark."""

from __future__ import annotations

import re
from io import StringIO
from pathlib import Path

from dotenv.parser import parse_stream

from include.local_airflow.errors import LaunchError

NAME = re.compile(r"\s*(?:export\s+)?([A-Za-z_]\w*)\s*[=:]")


def read_dotenv(file: Path) -> dict[str, str]:
    """Return the names and values; a value that is missing is empty.

    The value of a line that cannot be parsed, for example for quotes inside quotes, is the text
    behind its name: a connection must not be skipped for it.

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
        elif line.error and (name := NAME.match(line.original.string)):
            values[name[1]] = line.original.string[name.end() :].strip()
    return values

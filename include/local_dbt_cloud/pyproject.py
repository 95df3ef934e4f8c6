"""Options in a project's ``pyproject.toml``, in the table ``tool.local-dbt-cloud``."""

from __future__ import annotations

import argparse
import contextlib
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .serving.https_server import StartError

TABLE = "local-dbt-cloud"


def options_in_pyproject(parser: argparse.ArgumentParser, folder: Path) -> argparse.Namespace:
    """Return the options of the table, else the parser's defaults.

    The file is that of the folder, or of the nearest one above that has the table. Raises
    StartError for a file that cannot be read, an unknown option, and a wrong value. Paths are
    relative to the file.
    """
    file, table = _find_table(folder)
    where = f"{file}: [tool.{TABLE}]"
    parser.exit_on_error = False
    try:
        with contextlib.chdir(file.parent):
            options, unknown = parser.parse_known_args(list(_arguments(table)))
    except (argparse.ArgumentError, TypeError) as error:
        raise StartError(f"{where}: {error}") from None
    if options.isolated:
        raise StartError(f"{where}: --isolated is for the command line.")
    if unknown:
        raise StartError(f"{where}: there is no option {unknown[0].partition('=')[0]}.")
    return options


def _find_table(folder: Path) -> tuple[Path, Any]:
    for file in (one / "pyproject.toml" for one in (folder, *folder.parents)):
        if not file.is_file():
            continue
        try:
            tools = tomllib.loads(file.read_text()).get("tool")
        except (OSError, ValueError) as error:
            raise StartError(f"{file} cannot be read: {error}") from None
        if isinstance(tools, dict) and TABLE in tools:
            return file, tools[TABLE]
    return folder / "pyproject.toml", {}


def _arguments(table: Any) -> Iterator[str]:
    if not isinstance(table, dict):
        raise TypeError("it must be a table")
    for name, given in table.items():
        for value in given if isinstance(given, list) else [given]:
            if not isinstance(value, str | int | float):
                raise TypeError(f"{name} must be a text, a number or a list of them")
            if isinstance(value, bool):
                yield f"--{name}" if value else f"--no-{name}"
            else:
                yield f"--{name}={value}"

"""Other versions of dbt for the local dbt Cloud, in one environment variable."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

VARIABLE = "LOCAL_DBT_CLOUD_DBT_PYTHON"


class DbtPythonError(Exception):
    """The variable is invalid; the message has the reason and the next step."""


def given_pythons(variables: Mapping[str, str], folder: Path) -> dict[str, Path]:
    """Return dbt version → the Python of its environment.

    Args:
        variables: An environment; the variable, if set, is ``VERSION=PATH``, separated by commas.
        folder: The start of relative paths.

    Raises:
        DbtPythonError: The variable has another form, or a Python does not exist.
    """
    text = variables.get(VARIABLE, "")
    found: dict[str, Path] = {}
    for word in filter(None, map(str.strip, text.split(","))):
        version, _, path = word.partition("=")
        if not version or "/" in version or not path:
            raise DbtPythonError(
                f"LOCAL_DBT_CLOUD_DBT_PYTHON must be VERSION=PATH, comma-separated (got {text}), "
                "for example 1.12=/opt/dbt112/bin/python,2.0=/opt/dbt20/bin/python."
            )
        found[version] = folder / path  # not resolved: a venv's Python is a symlink
        if not found[version].is_file():
            raise DbtPythonError(
                f"LOCAL_DBT_CLOUD_DBT_PYTHON: {found[version]} for dbt {version} does not exist. "
                "Set it to the Python of an environment with that dbt-core and dbt-duckdb."
            )
    return found


if __name__ == "__main__":
    try:
        given_pythons(os.environ, Path.cwd())
    except DbtPythonError as mistake:
        sys.exit(f"Error: {mistake}")

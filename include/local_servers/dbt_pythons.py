"""Other versions of dbt for the local dbt Cloud, in one environment variable."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

VARIABLE = "LOCAL_DBT_CLOUD_DBT_PYTHON"


class DbtPythonError(Exception):
    """The variable cannot be used; the message says why and what to do."""


def given_pythons(variables: Mapping[str, str], folder: Path) -> dict[str, Path]:
    """Return version of dbt → the Python of its environment.

    Args:
        variables: An environment, with ``VERSION=PATH`` in the variable, several with commas
            between, or without it.
        folder: Where relative paths begin.

    Raises:
        DbtPythonError: The variable has another form, or there is no such Python.
    """
    text = variables.get(VARIABLE, "")
    found: dict[str, Path] = {}
    for word in filter(None, map(str.strip, text.split(","))):
        version, _, path = word.partition("=")
        if not version or "/" in version or not path:
            raise DbtPythonError(
                f"LOCAL_DBT_CLOUD_DBT_PYTHON={text} will not do: give VERSION=PATH, several with "
                "commas between, such as 1.12=/opt/dbt112/bin/python,2.0=/opt/dbt20/bin/python."
            )
        found[version] = folder / path  # not resolved: a venv's Python is a link
        if not found[version].is_file():
            raise DbtPythonError(
                f"There is no {found[version]}: LOCAL_DBT_CLOUD_DBT_PYTHON names it for dbt "
                f"{version}. Give the Python of an environment with that dbt-core and dbt-duckdb."
            )
    return found


if __name__ == "__main__":
    try:
        given_pythons(os.environ, Path.cwd())
    except DbtPythonError as mistake:
        sys.exit(f"Error: {mistake}")

"""What the READMEs of include/dbt_cloud/ and the local dbt Cloud list is there, and complete."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

from include.local_dbt_cloud.command_line import command_line

INCLUDE = Path(__file__).parents[2] / "include"
LIBRARY = (INCLUDE / "dbt_cloud" / "README.md").read_text()
SERVER = (INCLUDE / "local_dbt_cloud" / "README.md").read_text()


def first_cells(page: str, heading: str) -> list[str]:
    """Return the first column of a section's table."""
    section = page.split(f"\n{heading}\n")[1].split("\n## ")[0]
    return re.findall(r"^\| (`.+?) \|", section, re.MULTILINE)


def test_the_public_names_of_the_library_exist() -> None:
    """A name without a module before it is of the one before."""
    cells = first_cells(LIBRARY, "## Public names")

    assert len(cells) > 10
    for cell in cells:
        module = ""
        for name in re.findall(r"`([\w.]+)`", cell):
            own, _, attribute = name.rpartition(".")
            module = own or module
            home = import_module(f"include.dbt_cloud.{module}".rstrip("."))
            assert hasattr(home, attribute), name


def test_readme_lists_every_module_of_the_library() -> None:
    cells = first_cells(LIBRARY, "## How it fits together")
    modules = {file.stem for file in (INCLUDE / "dbt_cloud").glob("*.py")} - {"__init__"}

    assert set(re.findall(r"`(\w+)`", " ".join(cells))) == modules


def test_readme_lists_exactly_the_options_of_the_local_dbt_cloud() -> None:
    listed = [cell.strip("`") for cell in first_cells(SERVER, "## Start it")]
    options = [action.option_strings[0] for action in command_line()._actions]

    assert sorted(listed) == sorted({*options} - {"-h"})

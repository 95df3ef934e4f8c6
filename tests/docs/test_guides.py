"""docs/guides.md: each line's file, command, picture and test are there, and no Dag is left out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.test_words import PROJECT, is_left_out, make_targets

PAGE = PROJECT / "docs" / "guides.md"
LINES = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in PAGE.read_text().splitlines()
    if line.startswith("| ") and "checked by" not in line
]
LINK = re.compile(r"\[[^\]]+\]\(([^)#]+)(?:#[\w-]+)?\)")
DAGS = {path.stem: path.read_text() for path in (PROJECT / "dags").glob("*.py")}


def dag_ids() -> set[str]:
    """The files' names, and what a file calls the Dags that it makes."""
    made = (re.findall(r'^run_on_schedule\("(\w+)"', text, re.MULTILINE) for text in DAGS.values())
    return {*DAGS, *(dag_id for ids in made for dag_id in ids)}


@pytest.mark.parametrize("line", LINES, ids=lambda line: str(line[0])[:40])
def test_guide_line_names_an_existing_file_command_picture_and_test(line: list[str]) -> None:
    _, file, command, picture, test = line

    place = PAGE.parent / linked(file)
    assert place.exists() or is_left_out(place), file
    assert is_command(command.strip("`")), command
    assert (PAGE.parent / linked(picture)).stat().st_size < 100_000, picture
    path, _, function = test.strip("`").partition("::")
    assert f"\ndef {function}(" in (PROJECT / path).read_text(), test


def test_guides_list_every_dag_file() -> None:
    named = {Path(linked(file)).stem for _, file, *_ in LINES if "/dags/" in file}

    assert named == DAGS.keys()


def linked(cell: str) -> str:
    match = LINK.fullmatch(cell)
    assert match, f"{cell} is no link"
    return match[1]


def is_command(command: str) -> bool:
    if command.startswith("astro "):
        return f"`{command}`" in (PROJECT / "docs" / "astro.md").read_text()
    program, target, *variables = command.split()
    dag = [value.removeprefix("DAG=") for value in variables if value.startswith("DAG=")]
    return program == "make" and target in make_targets() and set(dag) <= dag_ids()

"""The tables of the pages are tables on GitHub too."""

from __future__ import annotations

import re
from itertools import groupby
from pathlib import Path

import pytest

from tests.docs.test_words import PAGES

FENCED = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
SEPARATOR = re.compile(r"\|(?: *:?-+:? *\|)+")


def blocks(page: str) -> list[list[str]]:
    """Return the page in blocks of lines with text, without pieces of code."""
    lines = FENCED.sub("", page).splitlines()
    return [[*block] for is_text, block in groupby(lines, key=lambda one: one != "") if is_text]


def problems(page: str) -> list[str]:
    found = []
    for block in blocks(page):
        rows = [line for line in block if line.lstrip().startswith("|")]
        if rows and (rows != block or not SEPARATOR.fullmatch("".join(rows[1:2]).strip())):
            found.append(block[0])
        if block[0].startswith("#") and len(block) > 1:
            found.append(block[0])
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}/{page.name}")
def test_tables_have_a_separator_and_stand_alone_as_headings_do(page: Path) -> None:
    assert problems(page.read_text()) == []


@pytest.mark.parametrize(
    "page",
    [
        "Text\n| a |\n|---|\n| 1 |",
        "| a |\n| 1 |",
        "| a |\n|---|\n| 1 |\nText",
        "# A\nText",
        "| a |",
    ],
)
def test_broken_tables_and_headings_are_found(page: str) -> None:
    assert problems(page)

"""docs/troubleshooting.md quotes only messages that the code has."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
PAGE = (PROJECT / "docs" / "troubleshooting.md").read_text()
OUR_MESSAGES = PAGE.partition("## make: install")[2].partition("## Not ours")[0]
QUOTES = [
    quote
    for first_column in re.findall(r"^\| (`.+?) \| ", OUR_MESSAGES, re.MULTILINE)
    for quote in re.findall(r"`([^`]+)`", first_column)
]


@pytest.fixture(scope="module")
def texts_by_file() -> list[str]:
    """Return the string constants of each file, joined, with single spaces."""
    files = [file for folder in ("dags", "include", "plugins") for file in folder_files(folder)]
    texts = ["\n".join(constants(file)) for file in files]
    return [re.sub(r"\s+", " ", text) for text in [*texts, (PROJECT / "Makefile").read_text()]]


def folder_files(folder: str) -> list[Path]:
    return [file for file in (PROJECT / folder).rglob("*.py") if ".local" not in file.parts]


def constants(file: Path) -> list[str]:
    nodes = ast.walk(ast.parse(file.read_text()))
    return [n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)]


@pytest.mark.parametrize("quote", QUOTES)
def test_quoted_message_exists_in_the_code(quote: str, texts_by_file: list[str]) -> None:
    parts = [part.strip(" ") for part in quote.split("…")]

    assert any(all(part in text for part in parts) for text in texts_by_file), quote


def test_page_starts_with_the_symptoms() -> None:
    headings = re.findall(r"^## (.+)$", PAGE, re.MULTILINE)

    assert headings[0] == "By symptom"
    assert PAGE.partition("## make: install")[0].count("\n| ") > 20
    assert len(QUOTES) > 50

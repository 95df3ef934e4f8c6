"""Pages, docstrings, comments and messages avoid the words that plain English avoids."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
MOST = 5 / 10_000  # uses per line, of each group; for quotations
GROUPS = {
    "software does not talk": r"tells?|told|telling|hears?|heard|says?|said|saying|knows?|wants?",
    "no unnamed persons": r"somebody|nobody|anybody|someone|anyone|whoever|no one",
    "field terms": (
        r"anew|nowhere|(?<!To use it )elsewhere|will not do|comes? to|not to be had|begins? again"
    ),
    "no old-fashioned forms": r"goes on|go on|is to|are to",
}
FOLDERS = {
    "the launcher": ["include/local_airflow", "include/eject"],
    "the library": ["include/dbt_cloud", "plugins"],
    "the local servers": ["include/local_dbt_cloud", "include/local_fivetran_census"],
    "the Dags": ["dags", "include/shop"],
    "the pages": ["docs", "README.md", "CONTRIBUTING.md", "CHANGELOG.md", "AGENTS.md", "skills"],
}


def lines_of(place: str) -> list[str]:
    path = PROJECT / place
    files = [path] if path.is_file() else [*path.rglob("*.py"), *path.rglob("*.md")]
    return [line for file in files for line in file.read_text().splitlines()]


@pytest.mark.parametrize("part", FOLDERS)
@pytest.mark.parametrize("group", GROUPS)
def test_text_uses_plain_english(part: str, group: str) -> None:
    lines = [line for place in FOLDERS[part] for line in lines_of(place)]
    found = [line for line in lines if re.search(rf"\b(?:{GROUPS[group]})\b", line, re.IGNORECASE)]

    assert len(found) <= max(1, MOST * len(lines)), "\n".join(found)

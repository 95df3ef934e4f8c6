"""What modules cite of the contract is in it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "include" / "local_dbt_cloud"
SECTIONS = set(re.findall(r"^##+ (\d+(?:\.\d+)?)\.? ", (FOLDER / "CONTRACT.md").read_text(), re.M))
CITATION = re.compile(r"CONTRACT\.md, sections? (\d+(?:\.\d+)?)(?: to (\d+(?:\.\d+)?))?")
MODULES = set(FOLDER.rglob("*.py")) - {FOLDER / "api" / "coverage.py"}  # it writes a page's links
CITING = [path for path in sorted(MODULES) if "contract" in path.read_text().lower()]


def test_contract_is_cited_by_more_than_ten_modules() -> None:
    assert len(CITING) > 10
    assert {"1.5", "2", "3.10"} <= SECTIONS


@pytest.mark.parametrize("file", CITING, ids=lambda file: str(file.relative_to(FOLDER)))
def test_every_section_that_a_module_cites_exists(file: Path) -> None:
    text = file.read_text()
    cited = CITATION.findall(text)

    assert len(cited) == text.lower().count("contract"), "cite it as `CONTRACT.md, section 1.5`"
    assert {section for pair in cited for section in pair if section} <= SECTIONS

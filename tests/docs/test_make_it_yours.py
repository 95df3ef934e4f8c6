"""docs/make_it_yours.md has the Dags that do not stay by themselves, and what they stay with."""

from __future__ import annotations

import re
from pathlib import Path

from include.eject.dag_file import ROOT, dag_files, named_dags
from include.eject.plan import LIBRARY, choose

PAGE = (Path(__file__).parents[2] / "docs" / "make_it_yours.md").read_text()
ROWS = re.findall(r"^\| (`.+`) \| (.*) \| .+ \|$", PAGE.split("| stays with |")[1], re.MULTILINE)


def test_page_lists_each_removed_dag_with_the_folders_that_keep_it() -> None:
    others = {dag.name for dag in dag_files()} - {dag.name for dag in choose(ROOT, ())}

    listed = {
        name: set(re.findall(r"`(include/.+?)`", with_))
        for names, with_ in ROWS
        for name in re.findall(r"`(\w+)`", names)
    }
    assert listed.keys() == others
    for dag in named_dags(others):
        folders = {place for place in dag.copied_with if place.startswith("include/")}
        assert listed[dag.name] == folders - {LIBRARY}, dag.name

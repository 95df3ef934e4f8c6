"""What README and its companions say is so."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

PROJECT = Path(__file__).parents[2]
README = (PROJECT / "README.md").read_text()
PAGES = [
    path
    for pattern in ("*.md", "docs/*.md", "include/*/*.md", "benchmarks/*.md", "skills/*/*.md")
    for path in PROJECT.glob(pattern)
]


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))


def is_left_out(file: Path) -> bool:
    """Whether the Astro image, where these tests run too, does without the file."""
    if (PROJECT / ".git").exists():
        return False
    place = file.resolve().relative_to(PROJECT.resolve())
    return place.parts[0] in (PROJECT / ".dockerignore").read_text().split()


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives to a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_readme_opens_with_the_two_commands() -> None:
    opening = "\n".join(README.splitlines()[:15])

    assert "make run" in opening
    assert "make test" in opening


def test_the_readme_lists_exactly_the_dags_that_exist() -> None:
    listed = re.findall(r"^\| \[(\w+)\]\(dags/(\w+)\.py\)", README, re.MULTILINE)

    assert sorted(dag for dag, _ in listed) == sorted(
        path.stem for path in (PROJECT / "dags").glob("*.py")
    )
    assert all(dag == file for dag, file in listed)


def test_the_readme_marks_the_dags_that_use_the_local_warehouse() -> None:
    marked = re.findall(r"^\| \[(\w+)\]\(dags/.+ (?:ids and )?warehouse \|$", README, re.MULTILINE)
    files = (PROJECT / "dags").glob("*.py")

    assert sorted(marked) == sorted(
        file.stem for file in files if "open_local_warehouse(" in file.read_text()
    )


def test_the_readme_counts_the_dags() -> None:
    """A file makes one Dag, or those that it calls ``run_on_schedule`` for."""
    texts = [path.read_text() for path in (PROJECT / "dags").glob("*.py")]
    made = [len(re.findall(r"^run_on_schedule\(", text, re.MULTILINE)) or 1 for text in texts]

    assert f"\n{sum(made)} Airflow 3 Dags" in README


def test_every_page_is_linked_in_the_readme() -> None:
    for page in (PROJECT / "docs").glob("*.md"):
        assert f"](docs/{page.name})" in README.partition("## Read on")[2], page.name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_every_make_command_in_a_page_exists(page: Path) -> None:
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)", page.read_text(), re.MULTILINE))

    assert named <= make_targets()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_every_link_in_a_page_is_valid(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if target.startswith(("http://", "https://")):
            assert re.fullmatch(r"https?://[\w.-]+\w(:\d+)?(/[\w./%#?=&~@+-]*)?", target), target
            continue
        path, _, anchor = target.partition("#")
        linked = page.parent / path if path else page
        if is_left_out(linked):
            continue
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), target


def test_each_picture_is_small_taken_by_the_script_and_shown() -> None:
    pages = "".join(page.read_text() for page in PAGES)
    script = (PROJECT / "tests" / "pictures" / "__main__.py").read_text()
    taken = {
        f"{name}.{'webp' if how == 'film' else 'png'}"
        for how, name in re.findall(r"""\.(take|film|draw)\(\s*"(\w+)\"""", script)
    }
    pictures = list((PROJECT / "docs" / "pictures").iterdir())

    assert {picture.name for picture in pictures} == taken
    for picture in pictures:
        assert picture.stat().st_size < (100_000 if picture.suffix == ".png" else 1_000_000)
        assert re.search(rf"!\[[^\]]+\]\((docs/)?pictures/{picture.name}\)", pages), picture


def folder_of(file: Path) -> str:
    """Return the folder of the map that contains a file: one level deeper below include/."""
    depth = 2 if file.parts[0] == "include" else 1
    return "/".join(file.parent.parts[:depth]) or "."


def test_contributing_map_lists_exactly_the_folders() -> None:
    if not (PROJECT / ".git").exists():
        pytest.skip("needs git to tell which folders are the repository's")
    page = (PROJECT / "CONTRIBUTING.md").read_text()
    table = page.split("## Repository layout")[1].split("##")[0]
    rows = re.findall(r"^\| ([^|]+) \|", table, re.MULTILINE)
    named = {folder for row in rows for folder in re.findall(r"`([\w/.]+)/`", row)}

    files = subprocess.run(
        ["git", "ls-files"], cwd=PROJECT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    folders = {folder_of(Path(file)) for file in files} - {".", "include"}
    assert named == folders | {"include/.local"}


def test_the_changelog_names_every_dag() -> None:
    changelog = (PROJECT / "CHANGELOG.md").read_text()

    for path in (PROJECT / "dags").glob("*.py"):
        assert f"`{path.stem}`" in changelog, path.stem


def test_pre_commit_has_the_tools_of_make_check() -> None:
    hooks = yaml.safe_load((PROJECT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    check = (PROJECT / "Makefile").read_text().partition("\ncheck:")[2].partition("\n\n")[0]

    assert [hook["entry"].replace(" --force-exclude", "") for hook in hooks] == [
        command.removesuffix(" .") for command in re.findall(r"^\t(.+)$", check, re.MULTILINE)
    ]

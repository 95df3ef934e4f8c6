"""Which part of include/ may import which: the arrows run one way."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]

# Each row imports only from rows below it; what stands in one row does not know of the other.
LOCAL_DBT_CLOUD = (
    ("__main__",),
    ("app",),
    ("api",),
    ("runs", "webhooks"),
    ("storage",),
    ("settings", "times"),
)
LEVELS = {room: level for level, rooms in enumerate(LOCAL_DBT_CLOUD) for room in rooms}


def modules(package: str) -> list[Path]:
    return sorted((PROJECT / package).rglob("*.py"))


def imports(file: Path) -> Iterator[str]:
    """What a file imports anywhere in it, as dotted names from the project's root."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = file.relative_to(PROJECT).parts[: -node.level] if node.level else ()
            base = ".".join([*start, *([node.module] if node.module else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def name(file: Path) -> str:
    return file.relative_to(PROJECT).as_posix()


@pytest.mark.parametrize("file", modules("include/local_dbt_cloud"), ids=name)
def test_the_local_dbt_cloud_s_arrows_run_one_way(file: Path) -> None:
    room = file.relative_to(PROJECT / "include/local_dbt_cloud").parts[0].removesuffix(".py")
    prefix = "include.local_dbt_cloud."
    used = {found.removeprefix(prefix).split(".")[0] for found in imports(file) if prefix in found}

    for other in used - {room} if room in LEVELS else used:
        assert LEVELS.get(other, len(LEVELS)) > LEVELS.get(room, -1), f"{room} imports {other}"

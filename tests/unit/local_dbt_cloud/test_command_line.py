"""Options that name several things."""

from __future__ import annotations

from pathlib import Path

import pytest

from include.local_dbt_cloud.command_line import dbt_project, parse_settings, projects_of
from include.local_dbt_cloud.serving.https_server import StartError

A, B, C = Path("/a"), Path("/b"), Path("/c")


@pytest.mark.parametrize(
    ("given", "has_jobs", "expected"),
    [
        ([(0, A)], False, {1: A}),
        ([(0, A), (0, B)], False, {1: A, 2: B}),
        ([(0, A), (1, B), (0, C)], False, {1: B, 2: A, 3: C}),
        ([(0, A)], True, {0: A}),
        ([(7, A), (0, B)], True, {7: A, 0: B}),
    ],
)
def test_each_project_has_a_folder(
    given: list[tuple[int, Path]], has_jobs: bool, expected: dict[int, Path]
) -> None:
    assert projects_of(given, has_jobs) == expected


@pytest.mark.parametrize(
    ("given", "has_jobs", "message"),
    [
        ([(0, A), (0, B)], True, "For each folder name its project"),
        ([(7, A), (7, B)], True, "the same project id"),
        ([(7, A), (7, B)], False, "the same project id"),
    ],
)
def test_folder_without_a_known_project_is_an_error(
    given: list[tuple[int, Path]], has_jobs: bool, message: str
) -> None:
    with pytest.raises(StartError, match=message):
        projects_of(given, has_jobs)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/a", (0, A)),
        ("7=/a", (7, A)),
        ("/a=b", (0, Path("/a=b"))),
        ("/x/../a", (0, A)),
    ],
)
def test_project_id_stands_before_the_path(text: str, expected: tuple[int, Path]) -> None:
    assert dbt_project(text) == expected


def test_target_needs_profiles(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_settings(["--target", "prod"])
    assert "pass --profiles-dir too" in capsys.readouterr().err

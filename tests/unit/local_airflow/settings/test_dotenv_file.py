from __future__ import annotations

import json
from pathlib import Path

import pytest

from include.local_airflow.errors import LaunchError
from include.local_airflow.settings.connection_check import check_variables
from include.local_airflow.settings.dotenv_file import read_dotenv
from tests.unit.local_airflow.connection_forms import GOOD, NAME, json_with


@pytest.mark.parametrize(
    ("line", "value"),
    [
        (f"{NAME}={json_with()}", json_with()),
        (f"{NAME} = {json_with()} ", json_with()),
        (f"export {NAME}={json_with()}\r", json_with()),
        (f"\ufeff{NAME}={json_with()}", json_with()),  # as saved by Windows Notepad
        (f"{NAME}='{json_with()}'", json_with()),  # Docker Compose also removes them
        (f"{NAME}={json_with()} # mine", json_with()),
        (f"{NAME}: {json_with()}", json_with()),
    ],
)
def test_read_dotenv_returns_the_same_value_for_each_notation(
    line: str, value: str, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text(f"{line}\nPORT=9001\n", encoding="utf-8")

    assert read_dotenv(tmp_path / ".env") == {NAME: value, "PORT": "9001"}


@pytest.mark.parametrize(
    ("lines", "mistake"),
    [
        (f'{NAME}="{json_with()}"', "Its JSON is in quotes"),
        (f"{NAME}='{json_with()}", "Its JSON is in quotes"),
        (f"export {NAME}='{json_with()}' mine", "Its JSON is in quotes"),
        (f"{NAME}=" + json.dumps(GOOD, indent=2), "Its JSON ends too early, at character 2"),
        (f"{NAME}={json_with(password='pass # word')}", "Its JSON is invalid at character"),
        (NAME, "It is empty"),
    ],
)
def test_read_dotenv_keeps_a_malformed_connection_for_its_check(
    lines: str, mistake: str, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text(f"PORT=9001\n{lines}\n")

    with pytest.raises(LaunchError, match=f"^{NAME} cannot be used. {mistake}"):
        check_variables(read_dotenv(tmp_path / ".env"))


def test_read_dotenv_rejects_a_file_that_is_not_utf_8(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"{NAME}={json_with()}", encoding="utf-16")

    with pytest.raises(LaunchError, match=r"^\.env is not UTF-8 text"):
        read_dotenv(tmp_path / ".env")


def test_read_dotenv_returns_nothing_without_a_file(tmp_path: Path) -> None:
    assert read_dotenv(tmp_path / ".env") == {}

"""Errors of a start, and the list of endpoints in the README."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest

from include.local_dbt_cloud.__main__ import announce, main, parse_settings
from include.local_dbt_cloud.api.readme import README, with_endpoints
from include.local_dbt_cloud.api.routes import ROUTES
from include.local_dbt_cloud.serving.data_folder import hold


@pytest.fixture(autouse=True)
def restored_data_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Restore the variable that ``main`` sets in its process, here that of the tests."""
    monkeypatch.setenv("LOCAL_DBT_CLOUD_DATA", str(tmp_path / "others"))


def test_the_readme_lists_every_endpoint() -> None:
    text = README.read_text()
    rows = re.findall(r"^\| ([A-Z]+) \| `(/[^`]+)` \|$", text, re.MULTILINE)
    assert rows == [(route.method, route.path) for route in ROUTES], "make readme"
    assert with_endpoints(text) == text


def test_main_reports_a_port_in_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        assert main(["--data", str(tmp_path), "--port", port]) == 1
    assert "cannot be used: Address already in use" in capsys.readouterr().err


def test_main_reports_a_data_folder_in_use(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with hold(tmp_path):
        assert main(["--data", str(tmp_path), "--port", "0"]) == 1
    assert "is in use by another local dbt Cloud (process" in capsys.readouterr().err


def test_main_reports_a_data_folder_that_cannot_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert main(["--data", str(tmp_path / "file" / "data"), "--port", "0"]) == 1
    assert "cannot be written: Not a directory" in capsys.readouterr().err


def test_main_reports_a_missing_dbt(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = ["--dbt-python", str(tmp_path / "python")]
    assert main(["--data", str(tmp_path), "--port", "0", *missing]) == 1
    assert "run `make run` once" in capsys.readouterr().err


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_main_requires_a_custom_token_for_a_public_host(
    host: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("LOCAL_DBT_CLOUD_TOKEN", raising=False)
    assert main(["--host", host]) == 1
    assert "set LOCAL_DBT_CLOUD_TOKEN" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "address"),
    [
        (["--host", "0.0.0.0"], "https://localhost:8580"),
        (["--host", "::"], "https://localhost:8580"),
        (["--host", "127.0.0.1"], "https://localhost:8580"),
        (["--host", "dbt.example.com"], "https://dbt.example.com:8580"),
        (["--host", "0.0.0.0", "--public-url", "https://d.example.com"], "https://d.example.com"),
    ],
)
def test_announce_prints_an_address_that_clients_can_call(
    options: list[str], address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    announce(parse_settings(options), 8580, 16173, Path("ca.pem"))

    assert capsys.readouterr().out.startswith(f"The local dbt Cloud is running at {address}\n")

"""Errors of a start, and the list of endpoints in the README."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from include.local_dbt_cloud.__main__ import announce, main
from include.local_dbt_cloud.api.readme import README, with_endpoints
from include.local_dbt_cloud.api.routes import ROUTES
from include.local_dbt_cloud.command_line import parse_settings
from include.local_dbt_cloud.serving.data_folder import hold
from include.local_dbt_cloud.storage.jobs_file import read_jobs_file
from tests.bundled import JOBS_FILE
from tests.conftest import CERTIFICATES


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
    assert "Pass another one with --dbt-python" in capsys.readouterr().err


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
    announce(parse_settings(options), 8580, read_jobs_file(JOBS_FILE), CERTIFICATES)

    assert capsys.readouterr().out.startswith(f"The local dbt Cloud is running at {address}\n")


@pytest.mark.parametrize("token", ["", "it's mine"])
def test_announce_prints_commands_that_set_the_variables_of_clients(
    token: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LOCAL_DBT_CLOUD_TOKEN", token)
    settings = parse_settings([])

    certificates = replace(CERTIFICATES, bundle=Path("/a folder/bundle.pem"))
    announce(settings, 8580, read_jobs_file(JOBS_FILE), certificates)
    exports = capsys.readouterr().out.partition("For clients in another terminal:\n")[2]
    names = "['AIRFLOW_CONN_DBT_CLOUD_DEFAULT', 'SSL_CERT_FILE', 'DBT_CLOUD_TOKEN']"
    program = f"import json, os; print(json.dumps([os.environ[name] for name in {names}]))"
    command = f'{exports}\nunset LOCAL_DBT_CLOUD_TOKEN; "$0" -c "{program}"'
    printed = subprocess.run(
        ["sh", "-c", command, sys.executable], capture_output=True, text=True, check=True
    )

    connection, trusted, service_token = json.loads(printed.stdout)
    assert service_token == settings.token
    assert trusted == "/a folder/bundle.pem"
    assert json.loads(connection) == {
        "conn_type": "dbt_cloud",
        "host": "localhost:8580",
        "login": "16173",
        "password": settings.token,
    }


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "dbt_project.yml cannot be read: No such file or directory"),
        (b"\xff", "dbt_project.yml cannot be read: it is not UTF-8 text"),
        (b"name: shop\nprofile: [", "dbt_project.yml, line 2: "),
        (b"name: shop\nprofile: [1]", "dbt_project.yml: profile: Input should be a valid string"),
        (b"profile: shop", "dbt_project.yml: name: Field required"),
        (b"- 1", "dbt_project.yml: the file: Input should be"),
        (b"", "dbt_project.yml: the file: Input should be"),
    ],
)
def test_main_reports_a_folder_that_is_no_dbt_project(
    content: bytes | None, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        (tmp_path / "dbt_project.yml").write_bytes(content)
    options = ["--data", str(tmp_path / "data"), "--port", "0", "--dbt-project", str(tmp_path)]

    assert main(options) == 1
    message = capsys.readouterr().err
    assert reason in message
    assert "Set --dbt-project" in message


def test_main_reports_a_python_without_dbt(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    python = ["--dbt-python", sys.executable]  # Airflow's environment has no dbt

    assert main(["--data", str(tmp_path), "--port", "0", *python]) == 1
    assert f"`{sys.executable} -m pip install dbt-core dbt-duckdb`" in capsys.readouterr().err

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from include.local_dbt_cloud.command_line import parse_settings
from include.local_dbt_cloud.serving.https_server import StartError

TABLE = """
[tool.local-dbt-cloud]
port = 8600
data = "var/data"
jobs = "jobs.yaml"
dbt-project = ["one", "7=two"]
dbt-python = ["bin/python", "1.12=bin/dbt112"]
fault = ["503 GET */runs*"]
public-url = "https://example.com:1"
log-requests = true
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with the table, which is above the current one."""
    for name in ("DATA", "PUBLIC_URL", "AIRFLOW_PAGE", "DBT_PYTHON"):
        monkeypatch.delenv(f"LOCAL_DBT_CLOUD_{name}", raising=False)
    (tmp_path / "pyproject.toml").write_text(TABLE)
    below = tmp_path / "tests"
    below.mkdir()
    (below / "pyproject.toml").write_text("[tool.ruff]\n")
    monkeypatch.chdir(below)
    return tmp_path


def test_options_of_the_table_replace_the_defaults(project: Path) -> None:
    settings = parse_settings([])

    assert settings.port == 8600
    assert settings.data == project / "var/data"
    assert settings.jobs_file == project / "jobs.yaml"
    assert (settings.dbt_project, settings.dbt_projects) == (
        project / "one",
        {7: project / "two"},
    )
    assert settings.dbt_python == project / "bin/python"
    assert settings.dbt_pythons == {"1.12": project / "bin/dbt112"}
    assert settings.faults == ("503 GET */runs*",)
    assert settings.public_url == "https://example.com:1"
    assert settings.log_requests


def test_variables_and_the_command_line_replace_options_of_the_table(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCAL_DBT_CLOUD_DATA", "/elsewhere")
    monkeypatch.setenv("LOCAL_DBT_CLOUD_PUBLIC_URL", "https://localhost:2/")
    monkeypatch.setenv("LOCAL_DBT_CLOUD_DBT_PYTHON", f"1.12={sys.executable}")
    settings = parse_settings(["--port", "1", "--dbt-project", "three", "--no-log-requests"])

    assert (settings.port, settings.data) == (1, Path("/elsewhere"))
    assert settings.public_url == "https://localhost:2"
    assert settings.dbt_pythons == {"1.12": Path(sys.executable)}
    assert (settings.dbt_project, settings.dbt_projects) == (project / "tests" / "three", {})
    assert not settings.log_requests
    assert parse_settings(["--fault", "500"]).faults == ("500",)
    assert parse_settings(["--data", "here"]).data == project / "tests" / "here"


def test_isolated_ignores_the_table(project: Path) -> None:
    settings = parse_settings(["--isolated"])

    assert settings.data == project / "tests" / ".local_dbt_cloud"
    assert settings.jobs_file is None
    assert settings.dbt_python == Path(sys.executable)
    assert settings.dbt_projects == {1: project / "tests"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[tool.local-dbt-cloud]\nports = 1\n", "there is no option --ports"),
        ("[tool.local-dbt-cloud]\nport = 'x'\n", "argument --port: invalid int value: 'x'"),
        ("[tool.local-dbt-cloud]\nport = true\n", "argument --port: expected one argument"),
        ("[tool.local-dbt-cloud]\nisolated = true\n", "--isolated is for the command line"),
        ("[tool.local-dbt-cloud]\nisolated = false\n", "there is no option --no-isolated"),
        ("[tool.local-dbt-cloud]\ndata = {a = 1}\n", "data must be a text, a number or a list"),
        ("[tool.local-dbt-cloud]\nfault = ['700']\n", "argument --fault: '700': "),
        ("[tool]\nlocal-dbt-cloud = 1\n", "it must be a table"),
        ("[tool", "cannot be read"),
    ],
)
def test_wrong_table_is_an_error_that_names_the_file(
    project: Path, text: str, message: str
) -> None:
    (project / "pyproject.toml").write_text(text)

    with pytest.raises(StartError) as error:
        parse_settings([])

    assert str(error.value).startswith(f"{project}/pyproject.toml")
    assert message in str(error.value)

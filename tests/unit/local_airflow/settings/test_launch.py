from __future__ import annotations

from pathlib import Path

import pytest

from include.local_airflow.errors import LaunchError
from include.local_airflow.settings.connection_check import check_variables
from include.local_airflow.settings.launch import Launch
from include.local_dbt_cloud.serving.connections import DBT_CLOUD
from tests.unit.local_airflow.conftest import REAL_ACCOUNT, ROOT


def test_environment_variables_override_dotenv(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("PORT=9001\nDBT_CLOUD_PORT=9002\n")
    launch = Launch.read(tmp_path, {"PORT": "9003"})
    assert (launch.port, launch.dbt_cloud_port) == (9003, 9002)


def test_launch_has_defaults_without_dotenv(tmp_path: Path) -> None:
    launch = Launch.read(tmp_path, {})
    assert (launch.port, launch.dbt_cloud_port) == (8080, 8580)
    assert launch.uses_local_dbt_cloud


def test_dotenv_keeps_json_values_unchanged(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"# real\nAIRFLOW_CONN_DBT_CLOUD_DEFAULT={REAL_ACCOUNT}\n")
    launch = Launch.read(tmp_path, {})
    assert launch.variables["AIRFLOW_CONN_DBT_CLOUD_DEFAULT"] == REAL_ACCOUNT
    assert not launch.uses_local_dbt_cloud


def test_an_empty_value_counts_as_not_set(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("DATABASE_URL=\nEXECUTOR\n")
    launch = Launch.read(tmp_path, {"PORT": ""})
    assert not launch.variables
    assert launch.port == 8080


@pytest.mark.parametrize(
    ("in_dotenv", "in_shell"), [("=", None), (None, ""), ("=", ""), ("", None)]
)
def test_empty_connection_variable_is_kept_and_rejected_by_its_check(
    in_dotenv: str | None, in_shell: str | None, tmp_path: Path
) -> None:
    if in_dotenv is not None:
        (tmp_path / ".env").write_text(f"{DBT_CLOUD.variable}{in_dotenv}\n")
    launch = Launch.read(tmp_path, {} if in_shell is None else {DBT_CLOUD.variable: in_shell})

    with pytest.raises(LaunchError, match=f"^{DBT_CLOUD.variable} cannot be used. It is empty"):
        check_variables(launch.variables)


def test_an_empty_variable_of_the_shell_does_not_hide_the_one_in_dotenv(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"{DBT_CLOUD.variable}={REAL_ACCOUNT}\n")
    launch = Launch.read(tmp_path, {DBT_CLOUD.variable: ""})
    assert launch.variables == {DBT_CLOUD.variable: REAL_ACCOUNT}


@pytest.mark.parametrize("port", ["http", "80", "70000", "-1"])
def test_port_rejects_an_invalid_value(tmp_path: Path, port: str) -> None:
    with pytest.raises(LaunchError, match=rf"PORT must be .* \(got {port}\)"):
        _ = Launch({"PORT": port}, tmp_path).port


def test_executor_rejects_an_unknown_name(tmp_path: Path) -> None:
    assert Launch({}, tmp_path).executor == "LocalExecutor"
    assert Launch({"EXECUTOR": "CeleryExecutor"}, tmp_path).executor == "CeleryExecutor"
    with pytest.raises(LaunchError, match=r"EXECUTOR must be .* \(got Sequential\)"):
        _ = Launch({"EXECUTOR": "Sequential"}, tmp_path).executor


@pytest.mark.parametrize("number", ["0", "10", "two", "-1"])
def test_count_rejects_an_invalid_number(tmp_path: Path, number: str) -> None:
    assert Launch({}, tmp_path).count("WORKERS") == 1
    with pytest.raises(LaunchError, match=rf"WORKERS must be between 1 and 9 \(got {number}\)"):
        Launch({"WORKERS": number}, tmp_path).count("WORKERS")


def test_the_example_is_valid_dotenv_with_every_line_enabled(tmp_path: Path) -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()
    settings = [line.removeprefix("# ") for line in lines if "=" in line and " " not in line[2:12]]
    (tmp_path / ".env").write_text("\n".join(settings))
    launch = Launch.read(tmp_path, {})
    assert launch.port == 8080
    assert not launch.uses_local_dbt_cloud

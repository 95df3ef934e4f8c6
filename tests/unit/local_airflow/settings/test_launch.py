from __future__ import annotations

from pathlib import Path

import pytest

from include.local_airflow.errors import LaunchError
from include.local_airflow.settings.connection_check import check_variables
from include.local_airflow.settings.launch import KEYS, Launch
from include.local_airflow.settings.metadata_database import sqlite_database
from include.local_servers.connections import DBT_CLOUD
from tests.unit.local_airflow.conftest import REAL_ACCOUNT, ROOT


def environment_of(launch: Launch) -> dict[str, str]:
    return launch.environment(sqlite_database(launch.home))


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
    assert environment_of(launch)["AIRFLOW_CONN_DBT_CLOUD_DEFAULT"] == REAL_ACCOUNT
    assert not launch.uses_local_dbt_cloud


def test_real_account_keeps_the_certificate_settings(tmp_path: Path) -> None:
    theirs = {"AIRFLOW_CONN_DBT_CLOUD_DEFAULT": REAL_ACCOUNT, "SSL_CERT_FILE": "/their/roots.pem"}
    environment = environment_of(Launch(theirs, tmp_path))
    assert environment["SSL_CERT_FILE"] == "/their/roots.pem"
    assert "REQUESTS_CA_BUNDLE" not in environment


def test_environment_trusts_the_local_dbt_cloud(tmp_path: Path) -> None:
    environment = environment_of(Launch({}, tmp_path))
    bundle = str(tmp_path / "include/.local/ca-bundle.pem")
    assert environment["SSL_CERT_FILE"] == environment["REQUESTS_CA_BUNDLE"] == bundle
    assert "localhost" in environment["NO_PROXY"]


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
    with pytest.raises(LaunchError, match=f"PORT={port} is no port"):
        _ = Launch({"PORT": port}, tmp_path).port


def test_executor_rejects_an_unknown_name(tmp_path: Path) -> None:
    assert Launch({}, tmp_path).executor == "LocalExecutor"
    assert Launch({"EXECUTOR": "CeleryExecutor"}, tmp_path).executor == "CeleryExecutor"
    with pytest.raises(LaunchError, match="EXECUTOR=Sequential is not known here"):
        _ = Launch({"EXECUTOR": "Sequential"}, tmp_path).executor


@pytest.mark.parametrize("number", ["0", "10", "two", "-1"])
def test_count_rejects_an_invalid_number(tmp_path: Path, number: str) -> None:
    assert Launch({}, tmp_path).count("WORKERS") == 1
    with pytest.raises(LaunchError, match=f"WORKERS={number} will not do"):
        Launch({"WORKERS": number}, tmp_path).count("WORKERS")


def test_user_settings_apply_except_airflow_home_and_the_database(tmp_path: Path) -> None:
    theirs = {
        "AIRFLOW__CORE__PARALLELISM": "8",
        "AIRFLOW_HOME": "/elsewhere",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql://production",
    }
    environment = environment_of(Launch(theirs, tmp_path))
    assert environment["AIRFLOW__CORE__PARALLELISM"] == "8"
    assert environment["AIRFLOW_HOME"] == str(tmp_path / ".airflow")
    assert environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].startswith(f"sqlite:///{tmp_path}")


def test_keys_are_stable_and_private(tmp_path: Path) -> None:
    launch = Launch({}, tmp_path)
    assert not KEYS.keys() & environment_of(launch).keys()
    assert not (tmp_path / ".airflow").exists()
    launch.make_keys()
    first = environment_of(launch)
    launch.make_keys()
    assert environment_of(launch) == first
    keys = [*(tmp_path / ".airflow").glob("*.key")]
    assert {file.stat().st_mode & 0o777 for file in keys} == {0o600}
    for file in keys:
        file.write_text("")  # as a full disk leaves it
    launch.make_keys()
    assert (
        len({first[name] for name in KEYS} | {environment_of(launch)[name] for name in KEYS}) == 6
    )


def test_the_example_is_valid_dotenv_with_every_line_enabled(tmp_path: Path) -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()
    settings = [line.removeprefix("# ") for line in lines if "=" in line and " " not in line[2:12]]
    (tmp_path / ".env").write_text("\n".join(settings))
    launch = Launch.read(tmp_path, {})
    assert launch.port == 8080
    assert not launch.uses_local_dbt_cloud

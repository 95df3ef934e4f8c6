from __future__ import annotations

from pathlib import Path

from include.local_airflow.settings.environment import KEYS, airflow_environment, make_keys
from include.local_airflow.settings.launch import Launch
from include.local_airflow.settings.metadata_database import sqlite_database
from tests.unit.local_airflow.conftest import REAL_ACCOUNT


def environment_of(launch: Launch) -> dict[str, str]:
    return airflow_environment(launch, sqlite_database(launch.home))


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
    make_keys(launch.home)
    first = environment_of(launch)
    make_keys(launch.home)
    assert environment_of(launch) == first
    keys = [*(tmp_path / ".airflow").glob("*.key")]
    assert {file.stat().st_mode & 0o777 for file in keys} == {0o600}
    for file in keys:
        file.write_text("")  # as a full disk leaves it
    make_keys(launch.home)
    assert (
        len({first[name] for name in KEYS} | {environment_of(launch)[name] for name in KEYS}) == 6
    )

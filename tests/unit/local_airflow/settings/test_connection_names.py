"""Warnings about connection variables with a mistyped name."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from include.local_airflow.settings.airflow_settings import NAME
from include.local_airflow.settings.connection_names import mistyped_names
from include.local_airflow.settings.launch import Launch
from tests.unit.local_airflow.conftest import REAL_ACCOUNT, ROOT, Checkout

pytestmark = pytest.mark.slow

RIGHT = "AIRFLOW_CONN_DBT_CLOUD_DEFAULT"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    shutil.copy(ROOT / NAME, tmp_path)
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "daily.py").write_text('DBT_CLOUD_CONN_ID = "dbt_cloud_default"\n')
    return tmp_path


@pytest.mark.parametrize(
    "name",
    [
        "AIRFLOW_CONN_DBT_CLOUD_DEFUALT",
        "AIRFLOW_CONN_DBTCLOUD_DEFAULT",
        "AIRFLOW_CONN_DBT_CLOUD_DEFAUL",  # a prefix of a name in a Dag
        "AIRFLOW_CON_DBT_CLOUD_DEFAULT",
        "AIRFLOW__CONN__DBT_CLOUD_DEFAULT",
        "AIRFLOW_CONNECTION_DBT_CLOUD_DEFAULT",
        "airflow_con_dbt_cloud_default",
    ],
)
def test_mistyped_names_reports_a_mistyped_name_with_the_right_one(
    project: Path, name: str
) -> None:
    (warning,) = mistyped_names(Launch({name: "secret", "PATH": "/bin"}, project))

    assert name in warning
    assert RIGHT in warning
    assert "secret" not in warning


@pytest.mark.parametrize(
    "name",
    [
        RIGHT,
        "AIRFLOW_CONN_FIVETRAN_DEFAULT",
        "AIRFLOW_CONN_AWS_DEFAULT",
        "AIRFLOW_CONN_SMTP_DEFAULT",
        "AIRFLOW_CONN_DBT_CLOUD_EU",
        "AIRFLOW_CONN_DBT_CLOUD_DEV",
        "AIRFLOW_CONN_DBT_CLOUD_WEBHOOKS",
        "DBT_CLOUD_DEFAULT",
    ],
)
def test_mistyped_names_ignores_other_connections(project: Path, name: str) -> None:
    assert list(mistyped_names(Launch({name: "x"}, project))) == []


@pytest.mark.parametrize("folder", ["dags", "include/company", "plugins"])
def test_mistyped_names_ignores_a_connection_named_in_the_project(
    project: Path, folder: str
) -> None:
    (project / folder).mkdir(parents=True, exist_ok=True)
    (project / folder / "second.py").write_text('CONN_ID = "dbt_cloud_default2"\n')

    assert list(mistyped_names(Launch({f"{RIGHT}2": "x"}, project))) == []
    assert len(list(mistyped_names(Launch({f"{RIGHT}3": "x"}, project)))) == 1


@pytest.mark.parametrize("command", ["run", "start", "doctor"])
def test_each_command_reports_a_mistyped_name(checkout: Checkout, command: str) -> None:
    """The command fails soon after, because of an invalid port or a missing Dag."""
    checkout.variables = {RIGHT.replace("FAULT", "FUALT"): REAL_ACCOUNT, RIGHT: REAL_ACCOUNT}
    checkout.variables |= {"PORT": "1"} if command == "start" else {}

    result = checkout.launch(command, *(["no_such_dag"] if command == "run" else []))

    assert "AIRFLOW_CONN_DBT_CLOUD_DEFUALT resembles" in result.stdout, result.stderr
    assert result.stdout.count("resembles") == 1

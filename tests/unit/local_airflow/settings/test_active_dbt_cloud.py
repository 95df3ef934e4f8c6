from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from rich.console import Console

from include.local_airflow.airflow.secrets_backend import KWARGS
from include.local_airflow.errors import LaunchError
from include.local_airflow.settings.active_dbt_cloud import (
    BACKEND,
    active_dbt_cloud,
    check_connections,
)
from include.local_airflow.settings.launch import Launch
from include.local_dbt_cloud.serving.connections import DBT_CLOUD
from tests.unit.local_airflow.conftest import REAL_ACCOUNT, ROOT

NAME = "AIRFLOW_CONN_DBT_CLOUD_DEFAULT"
HOST = "xy987.us1.dbt.com"
THEIRS = {"conn_type": "dbt_cloud", "host": HOST, "login": "16173", "password": "***"}
FILE = "airflow.secrets.local_filesystem.LocalFilesystemBackend"
OURS = {"host": "localhost:8580", "login": "16173"}
SECOND = THEIRS | {"host": "localhost:8699", "login": "20042"}  # of make second-account


@pytest.mark.parametrize(
    ("variables", "in_database", "expected"),
    [
        ({}, None, "the local one, https://localhost:8580."),
        ({"DBT_CLOUD_PORT": "9000"}, OURS, "the local one, https://localhost:9000."),
        ({}, THEIRS, f"{HOST}, account 16173 (the connection dbt_cloud_default in the UI)."),
        ({}, SECOND, "localhost:8699, account 20042 (the connection dbt_cloud_default in the UI)."),
        ({}, THEIRS | {"host": None}, "cloud.getdbt.com, account 16173 (the connection"),
        ({NAME: REAL_ACCOUNT}, THEIRS, f"localhost:1, account 1 ({NAME}, overrides the UI)."),
        ({NAME: "dbt-cloud://7:secret@a.b"}, OURS, f"a.b, account 7 ({NAME}"),
        ({NAME: "dbt-cloud://7:secret@A.b%3A8443"}, OURS, f"a.b:8443, account 7 ({NAME}"),
    ],
)
def test_dbt_cloud_in_use_names_the_account_and_its_source(
    variables: dict[str, str], in_database: dict[str, object] | None, expected: str, tmp_path: Path
) -> None:
    line = active_dbt_cloud(Launch(variables, tmp_path), in_database)

    assert line.startswith(f"dbt Cloud: {expected}")
    assert "secret" not in line


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"conn_type": "http"}, "Its type is not dbt_cloud"),
        ({"host": f"https://{HOST}"}, "Its host starts with https://"),
        ({"host": "dbtc_0123456789"}, "Its host looks like a token"),
        ({"host": "ab123.us1.dbt.com"}, "Its host is still the example"),
        ({"login": ""}, "It has no login"),
        ({"login": "jaffle"}, "Its login is not an account id"),
        ({"password": None}, "It has no password"),
        ({"port": 8443}, "ignores the port of a connection"),
    ],
)
def test_dbt_cloud_in_use_reports_an_invalid_connection_in_the_ui(
    change: dict[str, object], expected: str, tmp_path: Path
) -> None:
    line = active_dbt_cloud(Launch({}, tmp_path), THEIRS | change)

    start = "dbt Cloud: the connection dbt_cloud_default in the UI cannot be used. "
    assert line.startswith(start)
    assert expected in line
    assert "dbtc_" not in line


@pytest.mark.parametrize(
    ("login", "expected"),
    [
        ("7", "dbt Cloud: xy9.dbt.com, account 7 (LocalFilesystemBackend, overrides the UI)."),
        (7, "The connection dbt_cloud_default of LocalFilesystemBackend cannot be used. Its login"),
    ],
)
def test_check_connections_reads_the_secrets_backend_before_a_start(
    login: object, expected: str, tmp_path: Path
) -> None:
    (tmp_path / "include").symlink_to(ROOT / "include")
    stored = {"conn_type": "dbt_cloud", "host": "xy9.dbt.com", "login": login, "password": "secret"}
    (tmp_path / "connections.yaml").write_text(json.dumps({DBT_CLOUD.conn_id: stored}))
    variables = {BACKEND: FILE, KWARGS: '{"connections_file_path": "connections.yaml"}'}
    launch = Launch(dict(os.environ) | variables | {NAME: REAL_ACCOUNT}, tmp_path)

    try:
        line = active_dbt_cloud(launch, in_backend=check_connections(launch, Console()))
    except LaunchError as error:
        line = str(error)

    assert line.startswith(expected)
    assert not launch.home.exists()

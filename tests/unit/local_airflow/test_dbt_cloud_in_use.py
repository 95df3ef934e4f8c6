from __future__ import annotations

from pathlib import Path

import pytest

from include.local_airflow.dbt_cloud_in_use import dbt_cloud_in_use
from include.local_airflow.environment import Launch
from tests.unit.local_airflow.conftest import REAL_ACCOUNT

NAME = "AIRFLOW_CONN_DBT_CLOUD_DEFAULT"
THEIRS = {"host": "ab123.us1.dbt.com", "login": "16173", "password": "***"}
OURS = {"host": "localhost:8580", "login": "16173"}
BACKEND = {"AIRFLOW__SECRETS__BACKEND": "airflow.secrets.local_filesystem.LocalFilesystemBackend"}


@pytest.mark.parametrize(
    ("variables", "in_database", "said"),
    [
        ({}, None, "the local one, https://localhost:8580."),
        ({"DBT_CLOUD_PORT": "9000"}, OURS, "the local one, https://localhost:9000."),
        ({}, THEIRS, "ab123.us1.dbt.com, account 16173 (the connection dbt_cloud_default in the"),
        ({}, {"host": None}, "cloud.getdbt.com, account unknown (the connection"),
        ({NAME: REAL_ACCOUNT}, THEIRS, f"localhost:1, account 1 ({NAME}, whatever the UI shows)."),
        ({NAME: "dbt-cloud://7:secret@a.b"}, OURS, f"a.b, account 7 ({NAME}"),
        ({NAME: "{no JSON"}, OURS, "an account that cannot be read"),
        (BACKEND, OURS, "what LocalFilesystemBackend has for dbt_cloud_default, else the local"),
    ],
)
def test_who_says_which_dbt_cloud_is_used(
    variables: dict[str, str], in_database: dict[str, object] | None, said: str, tmp_path: Path
) -> None:
    line = dbt_cloud_in_use(Launch(variables, tmp_path), in_database)

    assert line.startswith(f"dbt Cloud: {said}")
    assert "secret" not in line

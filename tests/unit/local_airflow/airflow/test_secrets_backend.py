"""The check of a secrets backend that Airflow would silently skip."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from airflow.configuration import secrets_backend_list

from include.local_airflow.airflow.secrets_backend import KWARGS, dbt_cloud_in_backend
from include.local_airflow.errors import LaunchError
from include.local_airflow.settings.active_dbt_cloud import BACKEND
from include.local_dbt_cloud.serving.connections import CENSUS, DBT_CLOUD

FILE = "airflow.secrets.local_filesystem.LocalFilesystemBackend"
VAULT = "airflow.secrets.no_such_module.VaultBackend"
TOKEN = "dbtc_0123456789"
STORED = {"conn_type": "dbt_cloud", "host": "xy9.dbt.com", "login": "7", "password": TOKEN}


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file of connections that Airflow's secrets backend reads.

    Airflow is imported without a backend, so it creates the configured one at each lookup.
    """
    assert len(secrets_backend_list) == 2
    file = tmp_path / "connections.yaml"
    monkeypatch.setenv(BACKEND, FILE)
    monkeypatch.setenv(KWARGS, json.dumps({"connections_file_path": str(file)}))
    return file


def test_dbt_cloud_in_backend_returns_the_host_and_account_or_nothing(file: Path) -> None:
    file.write_text(json.dumps({"another": STORED}))
    assert dbt_cloud_in_backend() == ""

    file.write_text(json.dumps({DBT_CLOUD.conn_id: STORED}))
    assert dbt_cloud_in_backend() == "xy9.dbt.com, account 7"

    file.write_text(json.dumps({DBT_CLOUD.conn_id: f"dbt-cloud://7:{TOKEN}@host"}))
    assert dbt_cloud_in_backend() == "host, account 7"


@pytest.mark.parametrize(
    ("conn_id", "change", "mistake"),
    [
        (DBT_CLOUD.conn_id, {"login": 7}, "Its login is a number: write it in quotes"),
        (DBT_CLOUD.conn_id, {"host": "https://xy9.dbt.com"}, "Its host starts with https://"),
        (DBT_CLOUD.conn_id, {"host": TOKEN}, "Its host looks like a token"),
        (DBT_CLOUD.conn_id, {"password": None}, "It has no password"),
        (DBT_CLOUD.conn_id, {"password": 7}, "It cannot be read (TypeError): write"),
        (DBT_CLOUD.conn_id, {"token": TOKEN}, "It cannot be read (AirflowException): write"),
        (CENSUS.conn_id, {"login": 7}, "Its login is a number: write it in quotes"),
    ],
)
def test_dbt_cloud_in_backend_rejects_a_connection_that_airflow_skips(
    conn_id: str, change: dict[str, object], mistake: str, file: Path
) -> None:
    file.write_text(json.dumps({conn_id: STORED | change}))

    with pytest.raises(LaunchError) as stopped:
        dbt_cloud_in_backend()

    assert mistake in str(stopped.value)
    assert conn_id in str(stopped.value)
    assert TOKEN not in str(stopped.value)


@pytest.mark.parametrize(
    "text",
    [
        f"{DBT_CLOUD.conn_id}: dbt-cloud://7:{TOKEN}/x@host",
        f"{DBT_CLOUD.conn_id}:\n  password: {TOKEN}\n login: 7\n",
        f"- {TOKEN}",
        f"password: '{TOKEN}",
    ],
)
def test_dbt_cloud_in_backend_rejects_a_file_that_airflow_skips(text: str, file: Path) -> None:
    file.write_text(text)

    with pytest.raises(LaunchError, match="It cannot be read") as stopped:
        dbt_cloud_in_backend()

    assert TOKEN not in str(stopped.value)


@pytest.mark.parametrize(
    ("name", "value", "mistake"),
    [
        (KWARGS, "{no JSON", f"{KWARGS} is not a JSON object: write it as in .env.example."),
        (KWARGS, "[]", f"{KWARGS} is not a JSON object"),
        (KWARGS, '{"file": "x"}', f"{BACKEND} cannot be loaded (TypeError: "),
        (KWARGS, '{"connections_file_path": "missing.yaml"}', "It cannot be read ("),
        (BACKEND, VAULT, f"{BACKEND} cannot be loaded (AirflowConfigException: "),
    ],
)
def test_dbt_cloud_in_backend_rejects_an_unusable_backend(
    name: str, value: str, mistake: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(LaunchError) as stopped:
        dbt_cloud_in_backend()

    assert mistake in str(stopped.value)

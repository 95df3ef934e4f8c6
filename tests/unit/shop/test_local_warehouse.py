"""Tests that only the local dbt Cloud's Dags can open the local warehouse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from include.local_dbt_cloud.serving.connections import DBT_CLOUD, DOCKER_NAME
from include.shop.local_warehouse import LOCAL_ACCOUNT, LOCAL_HOSTS, open_local_warehouse


@pytest.fixture(autouse=True)
def data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LOCAL_DBT_CLOUD_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


def connect(monkeypatch: pytest.MonkeyPatch, host: str, login: str) -> None:
    fields = {"conn_type": "dbt_cloud", "host": host, "login": login, "password": "x"}
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", json.dumps(fields))


@pytest.mark.parametrize("host", ["localhost:8580", "localhost:9000", f"{DOCKER_NAME}:8580"])
def test_local_warehouse_opens_for_the_local_dbt_cloud(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(monkeypatch, host, DBT_CLOUD.login)

    with open_local_warehouse("shop") as warehouse:
        assert warehouse.execute("select 1").fetchall() == [(1,)]


@pytest.mark.parametrize(
    ("host", "login"),
    [
        ("ab123.us1.dbt.com", "70403"),
        ("ab123.us1.dbt.com", DBT_CLOUD.login),
        ("localhost:8699", "20042"),
        ("localhost.example.com", DBT_CLOUD.login),
        ("", DBT_CLOUD.login),
    ],
)
def test_local_warehouse_stays_closed_for_any_other_account(
    host: str, login: str, monkeypatch: pytest.MonkeyPatch, data_folder: Path
) -> None:
    connect(monkeypatch, host, login)

    with (
        pytest.raises(AirflowFailException, match="replace open_local_warehouse in this Dag"),
        open_local_warehouse("shop"),
    ):
        raise AssertionError
    assert not data_folder.exists()


def test_local_names_are_those_of_the_local_servers() -> None:
    assert DBT_CLOUD.login == LOCAL_ACCOUNT
    assert {"localhost", DOCKER_NAME} <= set(LOCAL_HOSTS)

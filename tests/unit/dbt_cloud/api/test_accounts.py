"""Tests of a dbt Cloud's account and its folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudHook
from airflow.sdk import ObjectStoragePath

from include.dbt_cloud.api.accounts import Account
from include.dbt_cloud.api.client import DbtCloudClient

HOST, ID = "localhost:8580", 16173


@pytest.fixture
def folder(tmp_path: Path) -> Any:
    return ObjectStoragePath(f"file://{tmp_path}")


def account_of(
    monkeypatch: pytest.MonkeyPatch, host: str | None, account_id: int | None = None
) -> Account:
    fields = {"conn_type": "dbt_cloud", "host": host, "login": f"{ID}", "password": "token"}
    monkeypatch.setenv("AIRFLOW_CONN_DBT_CLOUD_DEFAULT", json.dumps(fields))
    return DbtCloudClient(DbtCloudHook(), account_id).account


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        (None, "cloud.getdbt.com"),
        ("cloud.getdbt.com", "cloud.getdbt.com"),
        ("Cloud.GetDBT.com", "cloud.getdbt.com"),
        ("cloud.getdbt.com.", "cloud.getdbt.com"),
        ("cloud.getdbt.com/", "cloud.getdbt.com"),
        ("cloud.getdbt.com./", "cloud.getdbt.com"),
        ("cloud.getdbt.com:443", "cloud.getdbt.com"),
        ("LocalHost.:8580/", HOST),
        ("ab123.us1.dbt.com", "ab123.us1.dbt.com"),
        ("proxy.example.com/dbt/", "proxy.example.com/dbt"),
        ("[::1]:8580", "[::1]:8580"),
    ],
)
def test_account_normalises_the_host(
    monkeypatch: pytest.MonkeyPatch, host: str | None, expected: str
) -> None:
    assert account_of(monkeypatch, host) == Account(expected, ID)


def test_account_prefers_an_explicit_id_to_the_login(monkeypatch: pytest.MonkeyPatch) -> None:
    assert account_of(monkeypatch, HOST, account_id=7) == Account(HOST, 7)


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("cloud.getdbt.com", "cloud.getdbt.com"),
        (HOST, "localhost_8580"),
        ("localhost_8580", "localhost%5F8580"),
        ("../../etc", "..%2F..%2Fetc"),
        ("a b\x00c", "a%20b%00c"),
    ],
)
def test_folder_of_an_account_is_two_safe_names(folder: Any, host: str, name: str) -> None:
    assert Account(host, ID).folder_below(folder).path == f"{folder.path}/{name}/{ID}"


def test_folders_of_different_hosts_and_ids_differ(folder: Any) -> None:
    accounts = [Account(HOST, ID), Account("localhost:8699", ID), Account(HOST, 7)]

    for number, account in enumerate(accounts):
        place = account.folder_below(folder)
        place.mkdir(parents=True)
        (place / "file").write_text(f"{number}")

    assert [(one.folder_below(folder) / "file").read_text() for one in accounts] == ["0", "1", "2"]

from __future__ import annotations

import json

import pytest
from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudHook

from include.dbt_cloud.airflow_compat import AirflowException
from include.dbt_cloud.client import DbtCloudClient


@pytest.mark.parametrize("login", [None, "", "acme"])
def test_a_connection_without_an_account_id_is_named(
    monkeypatch: pytest.MonkeyPatch, login: str | None
) -> None:
    connection = {"conn_type": "dbt_cloud", "host": "localhost:1", "login": login, "password": "x"}
    monkeypatch.setenv("AIRFLOW_CONN_DBT_CLOUD_EU", json.dumps(connection))
    hook = DbtCloudHook("dbt_cloud_eu")

    with pytest.raises(AirflowException, match="dbt_cloud_eu lacks its login: the account id"):
        DbtCloudClient(hook, None)
    assert DbtCloudClient(hook, 16173).account_id == 16173

"""The page with a node's SQL, which comes from the artifacts of a real run."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudHook
from airflow.sdk import ObjectStoragePath
from httpx2 import Response

from include.dbt_cloud.api.accounts import Account
from include.dbt_cloud.api.artifacts import Node
from include.dbt_cloud.api.client import DbtCloudClient
from include.dbt_cloud.reports.history import History
from include.dbt_cloud.reports.results import Results, read_results
from include.local_dbt_cloud.testing import LocalDbtCloud
from tests.bundled import DAILY_BUILD
from tests.unit.dbt_cloud.events.conftest import airflow_s_tables, database_url
from tests.unit.dbt_cloud.page.test_app import MakeClient, history, kept, make_client
from tests.unit.dbt_cloud.page.test_templates import EVIL

__all__ = ["airflow_s_tables", "database_url", "history", "kept", "make_client"]
CONN_ID = "dbt_cloud_default"
ORDERS, GONE = "model.jaffle_shop.stg_orders", "model.jaffle_shop.gone"


@pytest.fixture(scope="module")
def results(local_dbt_cloud: LocalDbtCloud) -> Results:
    """Return the results of a real run."""
    run_id = local_dbt_cloud.trigger(DAILY_BUILD, steps_override=["dbt build --select stg_orders"])
    local_dbt_cloud.wait(run_id)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_CONN_DBT_CLOUD_DEFAULT", local_dbt_cloud.connection)
        return read_results(DbtCloudClient(DbtCloudHook(CONN_ID), None), run_id)


@pytest.fixture
def sql_of(
    results: Results,
    kept: ObjectStoragePath,
    make_client: MakeClient,
    dbt_cloud_connection: LocalDbtCloud,
) -> Callable[[str], Response]:
    """Return a function that opens the page of a node's SQL, by its id."""
    account = Account(dbt_cloud_connection.host, dbt_cloud_connection.account_id)
    gone = Node(GONE, "success", 1.0, "", step=99)
    History(account.folder_below(kept)).keep(Results(results.run, [*results.nodes, gone]))
    client = make_client(dbt_cloud_conn_id=CONN_ID)
    path = f"jobs/{DAILY_BUILD}/runs/{results.run['id']}/sql"
    return lambda unique_id: client.get(path, params={"id": unique_id})


def test_sql_is_as_dbt_compiled_it_in_the_run(sql_of: Callable[[str], Response]) -> None:
    text = sql_of(ORDERS).text

    assert "<title>SQL of model stg_orders, dbt Cloud</title>" in text
    assert '<pre class="sql" tabindex="0">' in text
    assert "{{" not in text
    assert "select" in text.partition('<pre class="sql"')[2]


def test_node_without_sql_says_why(sql_of: Callable[[str], Response]) -> None:
    response = sql_of(GONE)

    assert response.status_code == 200
    assert "dbt Cloud has no SQL of this node: dbt compiled none" in response.text
    assert "<pre" not in response.text


@pytest.mark.parametrize("unique_id", ["", "model.jaffle_shop.orders", EVIL])
def test_node_that_is_not_in_the_run_is_missing(
    sql_of: Callable[[str], Response], unique_id: str
) -> None:
    response = sql_of(unique_id)

    assert response.status_code == 404
    assert "is in no stored result." in response.text
    assert "<script>alert" not in response.text


def test_error_of_dbt_cloud_is_shown(
    sql_of: Callable[[str], Response], dbt_cloud_connection: LocalDbtCloud
) -> None:
    server = dbt_cloud_connection
    fault = {"kind": "503", "method": "GET", "path": "*/artifacts/*"}
    server.request("POST", "/faults", json=fault).raise_for_status()

    text = sql_of(ORDERS).text

    assert "Could not read the SQL from dbt Cloud: dbt Cloud returned 503" in text

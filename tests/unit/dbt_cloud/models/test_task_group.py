from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pendulum
import pytest
from airflow.sdk import DAG

from include.dbt_cloud.airflow_compat import AirflowException, AirflowSkipException
from include.dbt_cloud.models import dbt_cloud_models
from include.dbt_cloud.models.operators import DbtCloudNodeOperator


def entry(name: str, *parents: str, **fields: Any) -> dict[str, Any]:
    kind = fields.pop("type", "model")
    ids = [f"model.shop.{parent}" for parent in parents]
    about = {"unique_id": f"{kind}.shop.{name}", "name": name, "type": kind, "parents": ids}
    return {**about, "relation": f"db.analytics.{name}" if kind == "model" else "", **fields}


NODES = [
    entry("stg_orders", folder="staging"),
    entry("stg_stores", folder="staging"),
    entry("orders", "stg_orders", folder="marts", tags=["hourly"]),
    entry("stores", "orders", "stg_stores", folder="marts/finance"),
    entry("unique_orders", "orders", type="test"),
    entry("both_add_up", "orders", "stores", type="test"),
    entry("counts", "orders", type="unit_test"),
]


@pytest.fixture
def make_tasks(tmp_path: Path) -> Any:
    """Writes a lineage file and makes a task group of it; returns its tasks by their names."""

    def make(nodes: list[dict[str, Any]] = NODES, **arguments: Any) -> dict[str, Any]:
        file = tmp_path / "lineage.json"
        file.write_text(json.dumps({"version": 1, "nodes": nodes}))
        with DAG("shop", schedule=None, start_date=pendulum.datetime(2026, 4, 1)) as dag:
            dbt_cloud_models("shop", job_id=1, lineage=file, **arguments)
        return {task.task_id.removeprefix("shop."): task for task in dag.tasks}

    return make


def after(task: Any) -> set[str]:
    return {one.removeprefix("shop.") for one in task.upstream_task_ids}


def nodes_of(task: DbtCloudNodeOperator) -> list[str]:
    return [unique_id.split(".")[2] for unique_id in task.trigger_kwargs["nodes"]]


def test_edges_are_dbt_s_and_groups_its_folders(make_tasks: Any) -> None:
    tasks = make_tasks()

    assert {name: after(task) for name, task in tasks.items()} == {
        "run_job": set(),
        "rest_of_run": {"run_job"},
        "staging.stg_orders": {"run_job"},
        "staging.stg_stores": {"run_job"},
        "marts.orders": {"staging.stg_orders"},
        "marts.finance.stores": {"marts.orders", "staging.stg_stores"},
    }


def test_a_run_that_ends_at_once_may_cost_a_try_of_the_task_that_waits(make_tasks: Any) -> None:
    tasks = make_tasks()

    assert {name: task.retries for name, task in tasks.items() if task.retries} == {
        "rest_of_run": 2
    }


def test_a_test_belongs_to_the_last_of_what_it_tests(make_tasks: Any) -> None:
    tasks = make_tasks()

    assert nodes_of(tasks["marts.orders"]) == ["orders", "unique_orders", "counts"]
    assert nodes_of(tasks["marts.finance.stores"]) == ["stores", "both_add_up"]


def test_tests_can_be_tasks_of_their_own(make_tasks: Any) -> None:
    tasks = make_tasks(tests_as_tasks=True)

    assert nodes_of(tasks["marts.orders"]) == ["orders", "counts"]
    assert after(tasks["unique_orders"]) == {"marts.orders"}
    assert after(tasks["both_add_up"]) == {"marts.orders", "marts.finance.stores"}


def test_what_is_left_out_passes_its_edges_on(make_tasks: Any) -> None:
    tasks = make_tasks(exclude=["orders"])

    assert "marts.orders" not in tasks
    assert after(tasks["marts.finance.stores"]) == {"staging.stg_orders", "staging.stg_stores"}
    assert nodes_of(tasks["marts.finance.stores"]) == ["stores"]
    assert "test.shop.unique_orders" not in tasks["rest_of_run"].labels


def test_names_that_airflow_would_refuse_or_confuse_are_changed(make_tasks: Any) -> None:
    twins = [entry("orders"), {**entry("orders"), "unique_id": "model.other.orders"}]

    names = set(make_tasks([*twins, entry("café com leite"), entry("long" * 60)]))

    assert {"model_shop_orders", "model_other_orders", "café_com_leite"} <= names
    assert max(map(len, names)) == 120


def test_a_model_may_be_called_as_a_folder_or_as_a_task_of_the_group(make_tasks: Any) -> None:
    nodes = [
        entry("customers"),
        entry("customer_orders", "customers", folder="customers"),
        entry("finance", folder="marts"),
        entry("revenue", folder="marts/finance/monthly"),
        entry("stores", folder="stores"),
        entry("run_job", "stores"),
    ]

    tasks = make_tasks(nodes)

    assert {name: after(task) for name, task in tasks.items()} == {
        "run_job": set(),
        "rest_of_run": {"run_job"},
        "model_shop_customers": {"run_job"},
        "customers.customer_orders": {"model_shop_customers"},
        "marts.model_shop_finance": {"run_job"},
        "marts.finance.monthly.revenue": {"run_job"},
        "stores.stores": {"run_job"},
        "model_shop_run_job": {"stores.stores"},
    }


def test_a_name_that_the_log_gives_to_two_nodes_tells_of_neither(make_tasks: Any) -> None:
    twins = [entry("orders"), {**entry("orders"), "unique_id": "model.other.orders"}]

    tasks = make_tasks(twins)

    assert set(tasks["rest_of_run"].labels.values()) == {""}


def test_assets_are_named_as_openlineage_does_and_show_dbt_s_lineage(make_tasks: Any) -> None:
    orders = make_tasks(namespace="snowflake://acme")["marts.orders"]

    assert [asset.uri for asset in orders.outlets] == ["snowflake://acme/db/analytics/orders"]
    assert [asset.uri for asset in orders.inlets] == ["snowflake://acme/db/analytics/stg_orders"]


def test_an_asset_has_the_uri_that_cosmos_gives_it(make_tasks: Any) -> None:
    from cosmos.dataset import construct_dataset_uri

    (asset,) = make_tasks(namespace="duckdb://shop.duckdb")["marts.orders"].outlets

    assert asset.uri == construct_dataset_uri("duckdb://shop.duckdb", "db.analytics.orders")


def test_without_a_triggerer_a_node_ends_as_with_one(make_tasks: Any) -> None:
    """`dag.test()` hands a trigger's end of a task to the task, as a word."""
    orders = make_tasks()["marts.orders"]

    assert orders.execute_complete({}, "success") is None
    with pytest.raises(AirflowSkipException):
        orders.execute_complete({}, "skipped")
    with pytest.raises(AirflowException, match="has failed"):
        orders.execute_complete({}, "failed")

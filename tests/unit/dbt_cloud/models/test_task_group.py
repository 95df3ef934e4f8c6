from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pendulum
import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG, TaskGroup

from include.dbt_cloud.airflow.compat import AirflowException, AirflowSkipException
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
    """Create task groups from lineage files; return name → task."""

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


def test_task_group_has_the_edges_and_folders_of_dbt(make_tasks: Any) -> None:
    tasks = make_tasks()

    assert {name: after(task) for name, task in tasks.items()} == {
        "run_job": set(),
        "rest_of_run": {"run_job"},
        "staging.stg_orders": {"run_job"},
        "staging.stg_stores": {"run_job"},
        "marts.orders": {"staging.stg_orders"},
        "marts.finance.stores": {"marts.orders", "staging.stg_stores"},
        "check_results": {"rest_of_run", "marts.finance.stores"},
    }


def test_only_rest_of_run_and_check_results_have_retries(make_tasks: Any) -> None:
    tasks = make_tasks()

    assert {name: task.retries for name, task in tasks.items() if task.retries} == {
        "rest_of_run": 2,
        "check_results": 2,
    }


def test_tests_belong_to_the_task_of_the_last_tested_node(make_tasks: Any) -> None:
    tasks = make_tasks()

    assert nodes_of(tasks["marts.orders"]) == ["orders", "unique_orders", "counts"]
    assert nodes_of(tasks["marts.finance.stores"]) == ["stores", "both_add_up"]


def test_tests_as_tasks_gives_data_tests_their_own_tasks(make_tasks: Any) -> None:
    tasks = make_tasks(tests_as_tasks=True)

    assert nodes_of(tasks["marts.orders"]) == ["orders", "counts"]
    assert after(tasks["unique_orders"]) == {"marts.orders"}
    assert after(tasks["both_add_up"]) == {"marts.orders", "marts.finance.stores"}


def test_exclude_connects_children_to_the_parents_of_a_node(make_tasks: Any) -> None:
    tasks = make_tasks(exclude=["orders"])

    assert "marts.orders" not in tasks
    assert after(tasks["marts.finance.stores"]) == {"staging.stg_orders", "staging.stg_stores"}
    assert nodes_of(tasks["marts.finance.stores"]) == ["stores"]
    assert "test.shop.unique_orders" not in tasks["rest_of_run"].labels


def test_invalid_and_ambiguous_task_names_are_changed(make_tasks: Any) -> None:
    twins = [entry("orders"), {**entry("orders"), "unique_id": "model.other.orders"}]

    names = set(make_tasks([*twins, entry("café com leite"), entry("long" * 60)]))

    assert {"model_shop_orders", "model_other_orders", "café_com_leite"} <= names
    assert max(map(len, names)) == 120


def test_model_may_share_the_name_of_a_folder_or_a_group_task(make_tasks: Any) -> None:
    nodes = [
        entry("customers"),
        entry("customer_orders", "customers", folder="customers"),
        entry("finance", folder="marts"),
        entry("revenue", folder="marts/finance/monthly"),
        entry("stores", folder="stores"),
        entry("run_job", "stores"),
        entry("check_results"),
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
        "model_shop_check_results": {"run_job"},
        "check_results": {
            "rest_of_run",
            "customers.customer_orders",
            "marts.model_shop_finance",
            "marts.finance.monthly.revenue",
            "model_shop_run_job",
            "model_shop_check_results",
        },
    }


def test_labels_are_empty_for_nodes_that_share_a_log_name(make_tasks: Any) -> None:
    twins = [entry("orders"), {**entry("orders"), "unique_id": "model.other.orders"}]

    tasks = make_tasks(twins)

    assert set(tasks["rest_of_run"].labels.values()) == {""}


def test_assets_have_openlineage_uris_and_the_lineage_of_dbt(make_tasks: Any) -> None:
    orders = make_tasks(namespace="snowflake://acme")["marts.orders"]

    assert [asset.uri for asset in orders.outlets] == ["snowflake://acme/db/analytics/orders"]
    assert [asset.uri for asset in orders.inlets] == ["snowflake://acme/db/analytics/stg_orders"]


def test_asset_uri_equals_that_of_cosmos(make_tasks: Any) -> None:
    from cosmos.dataset import construct_dataset_uri

    (asset,) = make_tasks(namespace="duckdb://shop.duckdb")["marts.orders"].outlets

    assert asset.uri == construct_dataset_uri("duckdb://shop.duckdb", "db.analytics.orders")


def test_execute_complete_ends_the_task_with_the_state_of_the_trigger(make_tasks: Any) -> None:
    """``dag.test()`` passes the task's state as text."""
    orders = make_tasks()["marts.orders"]

    assert orders.execute_complete({}, "success") is None
    with pytest.raises(AirflowSkipException):
        orders.execute_complete({}, "skipped")
    with pytest.raises(AirflowException, match="ended with failed"):
        orders.execute_complete({}, "failed")


@pytest.mark.parametrize("content", [None, "", '{"version": 9, "nodes": []}'])
def test_dbt_cloud_models_raises_without_a_valid_lineage_file(
    tmp_path: Path, content: str | None
) -> None:
    file = tmp_path / "lineage.json"
    if content is not None:
        file.write_text(content)

    with (
        DAG("shop", schedule=None, start_date=pendulum.datetime(2026, 4, 1)),
        pytest.raises(ValueError, match=f"{file} .*: run the Dag write_lineage to rewrite it"),
    ):
        dbt_cloud_models("shop", job_id=1, lineage=file)


@pytest.mark.parametrize("groups_between", [0, 2])
@pytest.mark.parametrize("how", ["expand", "expand_kwargs"])
def test_dbt_cloud_models_rejects_a_mapped_task_group_on_import(
    tmp_path: Path, how: str, groups_between: int
) -> None:
    (tmp_path / "lineage.json").write_text(json.dumps({"version": 1, "nodes": NODES}))
    inner = "".join(f"{'    ' * (n + 2)}with TaskGroup('g{n}'):\n" for n in range(groups_between))
    indent = "    " * (groups_between + 2)
    regions = {"expand": "region=['eu', 'us']", "expand_kwargs": "[{'region': 'eu'}]"}[how]
    (tmp_path / "mapped.py").write_text(
        "from airflow.sdk import TaskGroup, dag, task_group\n"
        "from include.dbt_cloud.models import dbt_cloud_models\n"
        "@dag(schedule=None)\n"
        "def mapped():\n"
        "    @task_group\n"
        "    def per_region(region):\n"
        f"{inner}{indent}dbt_cloud_models('shop', job_id=1, lineage='{tmp_path}/lineage.json')\n"
        f"    per_region.{how}({regions})\n"
        "mapped()\n"
    )

    bag = DagBag(tmp_path)

    (error,) = bag.import_errors.values()
    assert not bag.dags
    assert "dbt_cloud_models cannot be mapped, as in the task group per_region" in error
    assert "in a loop" in error


def test_dbt_cloud_models_accepts_an_outer_task_group_without_mapping(tmp_path: Path) -> None:
    file = tmp_path / "lineage.json"
    file.write_text(json.dumps({"version": 1, "nodes": NODES}))

    with DAG("shop", schedule=None), TaskGroup("eu"):
        group = dbt_cloud_models("shop", job_id=1, lineage=file)

    assert group.group_id == "eu.shop"

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudHook

from include.dbt_cloud.models.lineage import (
    Lineage,
    LineageNode,
    nodes_in_manifest,
    read_lineage,
    write_lineage,
)
from tests.running_dbt_cloud import RunningDbtCloud


def manifest_node(name: str, *parents: str, **fields: Any) -> dict[str, Any]:
    return {
        "unique_id": f"model.shop.{name}",
        "name": name,
        "resource_type": "model",
        "depends_on": {"nodes": [f"model.shop.{parent}" for parent in parents]},
        "fqn": ["shop", "marts", name],
        "database": "db",
        "schema": "analytics",
        "tags": [],
        **fields,
    }


def node(name: str, *parents: str, tags: tuple[str, ...] = (), folder: str = "") -> LineageNode:
    return LineageNode(f"model.shop.{name}", name, "model", parents, tags, folder)


def test_the_file_has_what_the_manifest_of_the_run_has(
    dbt_cloud_connection: RunningDbtCloud, tmp_path: Path
) -> None:
    server, path = dbt_cloud_connection, tmp_path / "deep" / "lineage.json"
    run_id = server.trigger(steps_override=["dbt parse"])
    server.wait(run_id)
    # A newer run, whose relations are others.
    server.wait(server.trigger(steps_override=["dbt parse"], schema_override="elsewhere"))

    path.parent.mkdir()
    path.write_text("the file before")
    with path.open() as before:
        count = write_lineage(DbtCloudHook(), run_id, path)
        assert before.read() == "the file before"

    lineage = read_lineage(path)
    assert len(lineage.nodes) == count == 25
    customers = lineage.nodes["model.jaffle_shop.customers"]
    assert customers.relation == "warehouse.analytics.customers"
    assert customers.folder == "marts"
    assert "model.jaffle_shop.orders" in customers.parents
    committed = Path(__file__).parents[4] / "include" / "lineage" / "daily_build.json"
    assert path.read_text() == committed.read_text()


def test_a_run_that_parsed_nothing_has_no_lineage(
    dbt_cloud_connection: RunningDbtCloud, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=r"Run 99999999 has no manifest .* has parsed"):
        write_lineage(DbtCloudHook(), 99999999, tmp_path / "lineage.json")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "cannot be read"),
        ("{not json", "is no lineage file"),
        ("[]", "is no lineage file"),
        ('{"version": 9, "nodes": []}', "is of version 9"),
        ('{"version": 1, "nodes": [{"name": "orders"}]}', "is no lineage file"),
    ],
)
def test_without_a_good_file_there_are_no_nodes_and_it_says_what_to_do(
    tmp_path: Path, content: str | None, problem: str
) -> None:
    path = tmp_path / "lineage.json"
    if content is not None:
        path.write_text(content)

    lineage = read_lineage(path)

    assert not lineage.nodes
    assert problem in lineage.problem
    assert "the Dag write_lineage" in lineage.problem


def test_a_file_that_changes_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "lineage.json"
    path.write_text('{"version": 1, "nodes": []}')
    assert not read_lineage(path).nodes

    path.write_text(json.dumps({"version": 1, "nodes": [vars(node("orders"))]}))

    assert list(read_lineage(path).nodes) == ["model.shop.orders"]


def test_an_ephemeral_model_passes_its_parents_on() -> None:
    nodes = [
        manifest_node("a"),
        manifest_node("b", "a", config={"materialized": "ephemeral"}),
        manifest_node("c", "b", alias="c_now", version=2),
    ]

    found = nodes_in_manifest({"nodes": {one["unique_id"]: one for one in nodes}})

    assert [(one.name, one.parents, one.label) for one in found] == [
        ("a", (), "analytics.a"),
        ("c_v2", ("model.shop.a",), "analytics.c_now"),
    ]


def test_nodes_are_selected_by_tag_folder_and_name() -> None:
    nodes = [
        node("orders", tags=("hourly",), folder="marts/finance"),
        node("customers", folder="marts"),
        node("stg_orders", tags=("hourly",), folder="staging"),
    ]
    lineage = Lineage({one.unique_id: one for one in nodes})

    def names(select: list[str], exclude: list[str]) -> list[str]:
        return sorted(lineage.nodes[key].name for key in lineage.select(select, exclude))

    assert names([], []) == ["customers", "orders", "stg_orders"]
    assert names(["tag:hourly"], []) == ["orders", "stg_orders"]
    assert names(["folder:marts"], []) == ["customers", "orders"]
    assert names(["folder:mart"], []) == []
    assert names(["*orders"], ["folder:staging"]) == ["orders"]
    assert names(["customers", "tag:hourly"], ["orders"]) == ["customers", "stg_orders"]
    with pytest.raises(ValueError, match="'path:marts' selects nothing"):
        lineage.select(["path:marts"], [])

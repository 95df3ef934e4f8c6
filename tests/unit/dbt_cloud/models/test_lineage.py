from __future__ import annotations

import itertools
import json
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("hypothesis")  # not in the Astro image
from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudHook
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from include.dbt_cloud.models.lineage import (
    Lineage,
    LineageNode,
    nodes_in_manifest,
    read_lineage,
    write_lineage,
)
from include.local_dbt_cloud.testing import LocalDbtCloud
from tests.bundled import DAILY_BUILD
from tests.unit.dbt_cloud.loose_json import ANYTHING, TEXT, objects

NUMBERS = itertools.count()


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


def test_write_lineage_writes_the_manifest_of_the_given_run(
    dbt_cloud_connection: LocalDbtCloud, tmp_path: Path
) -> None:
    server, path = dbt_cloud_connection, tmp_path / "deep" / "lineage.json"
    run_id = server.trigger(DAILY_BUILD, steps_override=["dbt parse"])
    server.wait(run_id)
    # A newer run, whose relations are others.
    server.wait(server.trigger(DAILY_BUILD, steps_override=["dbt parse"], schema_override="other"))

    path.parent.mkdir()
    path.write_text("the file before")
    with path.open() as before:
        count = write_lineage(DbtCloudHook(), run_id, path)
        assert before.read() == "the file before"

    lineage = read_lineage(path)
    assert len(lineage.nodes) == count == 27
    customers = lineage.nodes["model.jaffle_shop.customers"]
    assert customers.relation == "warehouse.analytics.customers"
    assert customers.folder == "marts"
    assert "model.jaffle_shop.orders" in customers.parents
    committed = Path(__file__).parents[4] / "include" / "lineage" / "daily_build.json"
    assert path.read_text() == committed.read_text()


def test_write_lineage_raises_for_a_run_without_a_manifest(
    dbt_cloud_connection: LocalDbtCloud, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=r"Run 99999999 has no manifest .* parsed"):
        write_lineage(DbtCloudHook(), 99999999, tmp_path / "lineage.json")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "Could not read"),
        ("{not json", "is not a lineage file"),
        ("[]", "is not a lineage file"),
        ('{"version": 9, "nodes": []}', "has format version 9"),
        ('{"version": 1, "nodes": [{"name": "orders"}]}', "is not a lineage file"),
    ],
)
def test_read_lineage_returns_no_nodes_and_advice_for_a_bad_file(
    tmp_path: Path, content: str | None, problem: str
) -> None:
    path = tmp_path / "lineage.json"
    if content is not None:
        path.write_text(content)

    lineage = read_lineage(path)

    assert not lineage.nodes
    assert problem in lineage.problem
    assert "the Dag write_lineage" in lineage.problem


def test_read_lineage_rereads_a_changed_file(tmp_path: Path) -> None:
    path = tmp_path / "lineage.json"
    path.write_text('{"version": 1, "nodes": []}')
    assert not read_lineage(path).nodes

    path.write_text(json.dumps({"version": 1, "nodes": [vars(node("orders"))]}))

    assert list(read_lineage(path).nodes) == ["model.shop.orders"]


def test_nodes_in_manifest_replaces_ephemeral_models_by_their_parents() -> None:
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


def test_lineage_select_matches_tag_folder_and_name() -> None:
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
    with pytest.raises(ValueError, match="'path:marts' is not valid"):
        lineage.select(["path:marts"], [])


def manifest_of(nodes: list[dict[str, Any]]) -> dict[str, Any]:
    return {"nodes": {one["unique_id"]: one for one in nodes}}


def test_lineage_of_10000_nodes_is_read_within_four_seconds(tmp_path: Path) -> None:
    """A long chain of models, each with an ephemeral one and two tests."""
    ephemeral, nodes = {"materialized": "ephemeral"}, []
    for i in range(2500):
        before = [f"m{i - 1}", f"e{i - 1}"] if i else []
        nodes += [manifest_node(f"e{i}", *before[:1], config=ephemeral)]
        nodes += [manifest_node(f"m{i}", f"e{i}", *before)]
        for test in ("unique", "not_null"):
            unique_id = f"test.shop.{test}_m{i}.a1"
            about = {"unique_id": unique_id, "resource_type": "test"}
            nodes += [manifest_node(f"{test}_m{i}", f"m{i}", **about)]
    began = time.process_time()

    found = nodes_in_manifest(manifest_of(nodes[::-1]))
    assert time.process_time() - began < 2
    assert len(found) == 7500
    file = tmp_path / "lineage.json"
    file.write_text(json.dumps({"version": 1, "nodes": [vars(one) for one in found]}))
    lineage = read_lineage(file)
    assert [*lineage.nodes.values()] == found
    lineage.parents_among(lineage.nodes)
    assert time.process_time() - began < 4


NODES = objects(
    unique_id=st.sampled_from(["model.shop.a", "model.shop.b", "test.shop.c", "", "x"]),
    name=TEXT,
    type=st.sampled_from(["model", "seed", "test", "unit_test"]),
    parents=st.lists(st.sampled_from(["model.shop.a", "model.shop.b"]) | ANYTHING, max_size=2),
    tags=st.lists(TEXT, max_size=2),
    folder=st.sampled_from(["", "marts", "/", "a//b"]),
    relation=TEXT,
    unknown=ANYTHING,
)
CONTENTS = objects(version=st.just(1), nodes=st.lists(NODES | ANYTHING, max_size=4)) | ANYTHING


@given(CONTENTS.map(json.dumps).map(str.encode) | st.binary(max_size=40))
@settings(suppress_health_check=list(HealthCheck))
def test_read_lineage_never_raises(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / f"{next(NUMBERS)}.json"
    file.write_bytes(content)

    lineage = read_lineage(file)

    assert bool(lineage.nodes) <= (not lineage.problem)
    json.dumps([vars(one) for one in lineage.nodes.values()], ensure_ascii=False).encode()
    lineage.problem.encode()
    places = {unique_id: place for place, unique_id in enumerate(lineage.nodes)}
    for unique_id, parents in lineage.parents_among(lineage.nodes).items():
        assert all(places[parent] < places[unique_id] for parent in parents)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("[" * 100_000, "is not a lineage file"),
        ("[1]", "is not a lineage file"),
        ("null", "is not a lineage file"),
        ('{"version": NaN, "nodes": []}', "has format version nan"),
        (json.dumps({"version": "9" * 999}), f"has format version {'9' * 50}:"),
        ('{"version": 1}', "is not a lineage file"),
        ('{"version": 1, "nodes": {"a": 1}}', "is not a lineage file"),
        ('{"version": 1, "nodes": ["model.shop.a"]}', "is not a lineage file"),
    ],
)
def test_read_lineage_reports_a_short_problem_for_another_format(
    tmp_path: Path, content: str, problem: str
) -> None:
    file = tmp_path / "lineage.json"
    file.write_text(content)

    lineage = read_lineage(file)

    assert (lineage.nodes, problem in lineage.problem) == ({}, True)
    assert len(lineage.problem) < 400


A = {"unique_id": "model.shop.a", "name": "a", "type": "model"}


@pytest.mark.parametrize(
    ("nodes", "problem"),
    [
        ([A | {"name": None}], "argument: 'name'"),
        ([A | {"unique_id": 7}], "unique_id is 7"),
        ([A | {"type": ["model"]}], "type is ['model']"),
        ([A | {"parents": "model.shop.b"}], "parents is 'model.shop.b'"),
        ([A | {"parents": [None]}], "parents is [None]"),
        ([A | {"tags": {"a": 1}}], "tags is {'a': 1}"),
        ([A | {"relation": "a\x00b"}], "relation is"),
        ([A | {"folder": "\ud800"}], "folder is"),
        ([A | {"parents": ["model.shop.a"]}], "model.shop.a depend on each other"),
        (
            [A | {"parents": ["b"]}, A | {"unique_id": "b", "parents": ["model.shop.a"]}],
            "depend on each other",
        ),
    ],
)
def test_read_lineage_reports_invalid_fields_and_cycles(
    tmp_path: Path, nodes: list[dict[str, Any]], problem: str
) -> None:
    file = tmp_path / "lineage.json"
    file.write_text(json.dumps({"version": 1, "nodes": nodes}))

    assert problem in read_lineage(file).problem


def test_read_lineage_accepts_nulls_duplicates_and_any_order(tmp_path: Path) -> None:
    nodes = [
        {**A, "parents": ["model.shop.b"], "tags": None, "folder": None, "unknown": 1},
        {**A, "unique_id": "model.shop.b", "parents": None},
        {**A, "unique_id": "model.shop.b", "name": "b", "parents": ["source.shop.raw.b"]},
    ]
    file = tmp_path / "lineage.json"
    file.write_text(json.dumps({"version": 1, "nodes": nodes}))

    found = read_lineage(file).nodes

    assert list(found.values()) == [
        LineageNode("model.shop.b", "b", "model", ("source.shop.raw.b",)),
        LineageNode("model.shop.a", "a", "model", ("model.shop.b",)),
    ]


def test_read_lineage_reports_an_impossible_path() -> None:
    assert "Could not read" in read_lineage(Path("a\x00b")).problem


@pytest.mark.parametrize(
    "names",
    [(), ("name", "config", "depends_on", "fqn", "tags", "alias", "version", "database")],
)
def test_nodes_in_manifest_treats_nulls_as_missing(names: tuple[str, ...]) -> None:
    node = {"resource_type": "model", "schema": "analytics"} | dict.fromkeys(names)
    manifest = {"nodes": {"model.shop.orders": node, "model.shop.gone": None}, "unit_tests": None}

    (found,) = nodes_in_manifest(manifest)

    assert found == LineageNode(
        "model.shop.orders", "orders", "model", (), relation="analytics.orders"
    )
    assert nodes_in_manifest({"nodes": None}) == nodes_in_manifest({}) == []


MANIFEST_NODES = objects(
    resource_type=st.sampled_from(["model", "test", "unit_test"]),
    name=TEXT,
    depends_on=objects(nodes=st.lists(TEXT, max_size=2)),
    config=objects(materialized=st.sampled_from(["ephemeral", "view"])),
    fqn=st.lists(TEXT, max_size=4),
    tags=st.lists(TEXT, max_size=2),
    version=st.integers(0, 3),
)


@given(objects(nodes=st.dictionaries(TEXT, MANIFEST_NODES | ANYTHING), unit_tests=ANYTHING))
@settings(suppress_health_check=list(HealthCheck))
def test_read_lineage_returns_the_nodes_of_any_manifest(
    tmp_path: Path, manifest: dict[str, Any]
) -> None:
    try:
        found = nodes_in_manifest(manifest)
    except ValueError:  # a cycle
        return
    file = tmp_path / f"{next(NUMBERS)}.json"
    file.write_text(json.dumps({"version": 1, "nodes": [vars(one) for one in found]}))

    lineage = read_lineage(file)

    assert (lineage.problem, [*lineage.nodes.values()]) == ("", found)

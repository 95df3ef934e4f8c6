"""Events of a step's artifacts, with the nodes that OpenLineage's own reader does not handle."""

from __future__ import annotations

import logging
from typing import Any

import pytest

pytest.importorskip("airflow.providers.openlineage", reason="needs requirements-dev.txt")

from openlineage.client.serde import Serde
from openlineage.common.provider.dbt.facets import ParentRunMetadata

from include.dbt_cloud.lineage_events.nodes import Step, events_of_step
from tests.openlineage_spec import problems

Event = dict[str, Any]
PARENT = ParentRunMetadata("01a22935-15a5-7775-93fe-28e99aba9681", "dbt-cloud-job-1", "airflow")
GENERATED_AT = "2026-11-29T21:26:59.500000Z"
INVOCATION = "ce5373be-a166-40d9-8f17-85854b307ede"
CONNECTION = {"name": "Snowflake", "type": "snowflake", "details": {"account": "org-shop"}}
SEED, SNAPSHOT, ORDERS = "seed.shop.countries", "snapshot.shop.customers", "model.shop.orders"
SEED_TEST, ORDERS_TEST = "test.shop.unique_countries.a1", "test.shop.unique_orders.b2"
PARENTS = {
    SEED: [],
    SNAPSHOT: [],
    ORDERS: [SEED, SNAPSHOT],
    SEED_TEST: [SEED],
    ORDERS_TEST: [ORDERS],
}


def node(unique_id: str) -> dict[str, Any]:
    name = unique_id.split(".")[2]
    found: dict[str, Any] = {
        "unique_id": unique_id,
        "name": name,
        "alias": name,
        "database": "db",
        "schema": "shop",
        "columns": {},
        "config": {"severity": "ERROR"},
    }
    if unique_id.startswith("test."):
        found["test_metadata"] = {"name": "unique", "kwargs": {"column_name": "id"}}
    return found


def result(unique_id: str, status: str, second: int = 1, **fields: Any) -> dict[str, Any]:
    start, end = (f"2026-11-29T21:26:{second + more:02}.000000Z" for more in (0, 1))
    timing = [{"name": "execute", "started_at": start, "completed_at": end}]
    return {"unique_id": unique_id, "status": status, "timing": timing, **fields}


def events_of(
    *results: dict[str, Any], which: str = "build", command: str = "dbt build", **project: Any
) -> list[Event]:
    step = Step(
        account_id=16173,
        project={"name": "Shop", "connection": CONNECTION, **project},
        command=command,
        manifest={
            "metadata": {
                "dbt_schema_version": "https://schemas.getdbt.com/dbt/manifest/v12.json",
                "adapter_type": "snowflake",
            },
            "nodes": {one: node(one) for one in PARENTS},
            "sources": {},
            "parent_map": PARENTS,
        },
        run_results={
            "metadata": {
                "dbt_schema_version": "https://schemas.getdbt.com/dbt/run-results/v6.json",
                "dbt_version": "1.11.16",
                "generated_at": GENERATED_AT,
                "invocation_id": INVOCATION,
            },
            "args": {"which": which},
            "results": list(results),
        },
        catalog=None,
    )
    events = [Serde.to_dict(one) for one in events_of_step(step, PARENT, "")]
    assert [found for event in events for found in problems(event)] == []
    return events


def ends(events: list[Event]) -> dict[str, str]:
    return {
        one["job"]["name"].removeprefix("db.shop."): one["eventType"]
        for one in events
        if one["eventType"] != "START"
    }


def test_seeds_and_snapshots_are_inputs() -> None:
    events = events_of(result(ORDERS, "success"), result(SEED, "success"))

    assert ends(events) == {"shop.orders.build.run": "COMPLETE"}
    inputs = {(one["namespace"], one["name"]) for one in events[0]["inputs"]}
    warehouse = "snowflake://org-shop"
    assert inputs == {(warehouse, "db.shop.countries"), (warehouse, "db.shop.customers")}


def test_rows_are_in_the_output_statistics() -> None:
    events = events_of(result(ORDERS, "success", adapter_response={"rows_affected": 42}))

    (output,) = events[-1]["outputs"]
    assert output["outputFacets"]["outputStatistics"]["rowCount"] == 42


def test_snapshot_and_test_of_a_seed_have_events_with_times_of_dbt() -> None:
    events = events_of(result(SNAPSHOT, "success", 3), result(SEED_TEST, "fail", 5, failures=2))

    snapshot, test = "shop.customers.build.snapshot", "seed.shop.countries.build.test"
    assert ends(events) == {snapshot: "COMPLETE", test: "FAIL"}
    times = {(one["job"]["name"], one["eventType"]): one["eventTime"] for one in events}
    assert times[f"db.shop.{test}", "START"].startswith("2026-11-29T21:26:05")
    assert times[f"db.shop.{test}", "FAIL"].startswith("2026-11-29T21:26:06")
    facet = next(one for one in events if test in one["job"]["name"])["inputs"][0]["inputFacets"]
    (assertion,) = facet["dataQualityAssertions"]["assertions"]
    assert (assertion["success"], assertion["actual"], assertion["column"]) == (False, "2", "id")


@pytest.mark.parametrize(
    ("status", "ending"), [("pass", "COMPLETE"), ("warn", "COMPLETE"), ("fail", "FAIL")]
)
def test_test_that_warns_fails_nothing(status: str, ending: str) -> None:
    events = events_of(result(ORDERS_TEST, status, failures=1))

    assert ends(events) == {"shop.orders.build.test": ending}


@pytest.mark.parametrize("status", ["skipped", "reused", "no-op"])
def test_nodes_that_did_not_run_have_no_events(status: str) -> None:
    assert events_of(result(ORDERS, status), result(ORDERS_TEST, status)) == []


def test_model_that_was_built_in_part_has_failed() -> None:
    assert ends(events_of(result(ORDERS, "partial success"))) == {"shop.orders.build.run": "FAIL"}


@pytest.mark.parametrize(
    ("which", "command", "name"),
    [
        ("retry", "dbt build", "shop.orders.build.run"),
        ("retry", "dbt run --select orders", "shop.orders"),
        ("retry", "dbt retry", "shop.orders.build.run"),
        ("run", "dbt run", "shop.orders"),
    ],
)
def test_retry_has_the_job_names_of_its_original_command(
    which: str, command: str, name: str
) -> None:
    events = events_of(result(ORDERS, "success"), which=which, command=command)

    assert ends(events) == {name: "COMPLETE"}


def test_node_that_failed_before_its_execution_has_a_time_of_dbt() -> None:
    failed = {"unique_id": ORDERS, "status": "error", "timing": []}

    assert {one["eventTime"] for one in events_of(failed)} == {GENERATED_AT}


def test_run_ids_do_not_depend_on_the_time_of_the_call() -> None:
    first, second = (events_of(result(ORDERS, "success")) for _ in range(2))

    assert first == second


@pytest.mark.parametrize(
    "connection", [None, {"name": "x", "type": "teradata", "details": {}}], ids=["none", "unknown"]
)
def test_warehouse_without_a_name_in_openlineage_is_a_warning(
    caplog: pytest.LogCaptureFixture, connection: Any
) -> None:
    with caplog.at_level(logging.WARNING):
        events = events_of(result(ORDERS, "success"), connection=connection)

    assert events == []
    assert "No OpenLineage events of the nodes of `dbt build`" in caplog.text

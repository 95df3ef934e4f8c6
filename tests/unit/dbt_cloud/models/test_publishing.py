"""Tests of asset events of the models that a run built."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudHook

from include.dbt_cloud.api.artifacts import nodes_of_run
from include.dbt_cloud.api.client import DbtCloudClient
from include.dbt_cloud.models.publishing import describes, latest_builds, unquoted
from include.local_dbt_cloud.testing import LocalDbtCloud
from tests.unit.dbt_cloud.conftest import open_warehouse

JOB = 48618
NAMESPACE = "duckdb://include/.local/warehouse.duckdb"
ANALYTICS = f"{NAMESPACE}/warehouse/analytics"
SELECT = "--select stg_orders stg_stores"


@pytest.fixture(scope="module")
def runs(local_dbt_cloud: LocalDbtCloud) -> dict[str, int]:
    """Run one with a failed test of stg_orders, a good one, and one into another schema."""

    def run(step: str, **overrides: Any) -> int:
        quick = {"generate_docs_override": False}
        run_id = local_dbt_cloud.trigger(JOB, steps_override=[step], **quick, **overrides)
        local_dbt_cloud.wait(run_id)
        return run_id

    with open_warehouse(local_dbt_cloud) as warehouse:
        warehouse.execute("create table raw.orders_away as from raw.orders")
        warehouse.execute("update raw.orders set status = 'nonsense'")
    failed = run(f"dbt build {SELECT}")
    with open_warehouse(local_dbt_cloud) as warehouse:
        warehouse.execute("create or replace table raw.orders as from raw.orders_away")
        warehouse.execute("drop table raw.orders_away")
    other_schema = run("dbt run --select stg_stores", schema_override="mine")
    return {"failed": failed, "good": run(f"dbt build {SELECT}"), "other_schema": other_schema}


def published(server: LocalDbtCloud, *run_ids: int) -> dict[str, dict[str, Any]]:
    """Return asset → extra."""
    client = DbtCloudClient(DbtCloudHook(), None)
    found = [client.get(f"runs/{each}/", include_related="run_steps,trigger") for each in run_ids]
    pairs = [(run, list(nodes_of_run(client, run))) for run in found]
    return {asset.uri: extra for asset, extra, _ in latest_builds(client, pairs, NAMESPACE)}


def test_asset_events_describe_each_built_model(
    dbt_cloud_connection: LocalDbtCloud, runs: dict[str, int]
) -> None:
    found = published(dbt_cloud_connection, runs["good"])

    assert set(found) == {f"{ANALYTICS}/stg_orders", f"{ANALYTICS}/stg_stores"}
    extra = found[f"{ANALYTICS}/stg_stores"]
    assert extra.pop("seconds") > 0
    assert extra.pop("run_url").endswith(f"/runs/{runs['good']}/")
    assert extra == {
        "unique_id": "model.jaffle_shop.stg_stores",
        "status": "success",
        "run_id": runs["good"],
        "failing_tests": [],
    }


def test_failed_test_withholds_the_asset_event_of_its_model(
    dbt_cloud_connection: LocalDbtCloud, runs: dict[str, int]
) -> None:
    assert set(published(dbt_cloud_connection, runs["failed"])) == {f"{ANALYTICS}/stg_stores"}


def test_asset_events_of_several_runs_use_the_last_one(
    dbt_cloud_connection: LocalDbtCloud, runs: dict[str, int]
) -> None:
    found = published(dbt_cloud_connection, runs["failed"], runs["good"])

    assert {extra["run_id"] for extra in found.values()} == {runs["good"]}


def test_run_into_another_schema_has_no_asset_events(
    dbt_cloud_connection: LocalDbtCloud, runs: dict[str, int]
) -> None:
    assert published(dbt_cloud_connection, runs["other_schema"]) == {}


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ({"run_id": 7, "run_url": "https://cloud.getdbt.com/deploy/1/projects/3/runs/7/"}, True),
        ({"run_id": 7, "run_url": "https://localhost:8580/deploy/1/projects/3/runs/7/"}, False),
        ({"run_id": 7, "run_url": "https://cloud.getdbt.com/deploy/2/projects/3/runs/7/"}, False),
        ({"run_id": 8, "run_url": "https://cloud.getdbt.com/deploy/1/projects/3/runs/8/"}, False),
        ({"run_id": 7}, True),
        ({}, False),
    ],
)
def test_event_of_another_accounts_run_describes_another_run(
    extra: dict[str, Any], expected: bool
) -> None:
    run = {"id": 7, "href": "https://cloud.getdbt.com/deploy/1/projects/3/runs/7/"}

    assert describes(extra, run) is expected


@pytest.mark.parametrize(
    "relation",
    [
        '"shop"."public"."my orders"',
        "`shop`.`public`.`my orders`",
        "[shop].[public].[my orders]",
        "shop.public.my orders",
    ],
)
def test_unquoted_removes_the_quotes_of_each_warehouse(relation: str) -> None:
    assert unquoted(relation) == "shop.public.my orders"

"""Events of real runs of the local dbt Cloud."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("airflow.providers.openlineage", reason="needs requirements-dev.txt")

from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudHook
from openlineage.client.serde import Serde

from include.dbt_cloud.api.client import DbtCloudClient
from include.dbt_cloud.lineage_events.emission import DETAILS
from include.dbt_cloud.lineage_events.job_run import events_of_run, moment
from include.local_dbt_cloud.testing import LocalDbtCloud
from tests.bundled import DAILY_BUILD
from tests.openlineage_spec import problems
from tests.unit.dbt_cloud.conftest import missing_table, open_warehouse

Event = dict[str, Any]
JOB = f"dbt-cloud-job-{DAILY_BUILD}"
STORES = "dbt build --select stg_stores stg_products"
TESTED = "dbt build --select +stg_orders"
PARENT = {
    "run_id": "01a22935-15a5-7775-93fe-28e99aba9681",
    "job_name": "dag.task",
    "job_namespace": "airflow",
    "root_parent_run_id": "01a22935-15a5-7775-93fe-28e99aba9682",
    "root_parent_job_name": "dag",
    "root_parent_job_namespace": "airflow",
}


def events_of(server: LocalDbtCloud, run_id: int, **options: Any) -> list[Event]:
    """Return the finished run's valid events, in order."""
    server.wait(run_id)
    client = DbtCloudClient(DbtCloudHook("dbt_cloud_default"), None)
    run = client.get(f"runs/{run_id}/", include_related=DETAILS)
    events = [Serde.to_dict(one) for one in events_of_run(client, run, "airflow", **options)]
    assert [found for event in events for found in problems(event)] == []
    return events


def ends(events: list[Event]) -> dict[str, str]:
    """Return job → how its run ended; each run has one start and one end."""
    for kind in (["START"], ["COMPLETE", "FAIL", "ABORT"]):
        ids = [one["run"]["runId"] for one in events if one["eventType"] in kind]
        assert sorted(ids) == sorted({one["run"]["runId"] for one in events})
    prefix = "warehouse.analytics.jaffle_shop."
    return {
        one["job"]["name"].removeprefix(prefix): one["eventType"]
        for one in events
        if one["eventType"] != "START"
    }


def end_of(events: list[Event], name: str) -> Event:
    (found,) = [
        one
        for one in events
        if one["job"]["name"].endswith(name) and one["eventType"] in ("COMPLETE", "FAIL", "ABORT")
    ]
    return found


@pytest.fixture
def tables(dbt_cloud_connection: LocalDbtCloud) -> LocalDbtCloud:
    """Return the server, with all source tables loaded."""
    open_warehouse(dbt_cloud_connection).close()
    return dbt_cloud_connection


def test_run_with_steps_override_has_its_nodes_below_it(tables: LocalDbtCloud) -> None:
    run_id = tables.trigger(DAILY_BUILD, steps_override=[TESTED])

    events = events_of(tables, run_id, parent=PARENT)

    name = "stg_orders.build.run"
    assert ends(events) == {JOB: "COMPLETE", name: "COMPLETE", "stg_orders.build.test": "COMPLETE"}
    job, node = end_of(events, JOB), end_of(events, name)
    above, below = job["run"]["facets"]["parent"], node["run"]["facets"]["parent"]
    assert above["run"]["runId"] == PARENT["run_id"]
    assert below["run"]["runId"] == job["run"]["runId"]
    assert below["job"] == {"namespace": "airflow", "name": JOB}
    assert above["root"] == below["root"]
    assert above["root"]["job"]["name"] == "dag"
    assert [one["name"] for one in node["inputs"]] == ["warehouse.raw.orders"]
    assert [one["name"] for one in node["outputs"]] == ["warehouse.analytics.stg_orders"]
    tested = end_of(events, "build.test")["inputs"][0]
    assertions = tested["inputFacets"]["dataQualityAssertions"]["assertions"]
    assert {one["assertion"] for one in assertions} == {"accepted_values"}
    assert all(one["success"] for one in assertions)


def test_events_are_in_the_order_of_the_times_of_dbt_and_always_the_same(
    tables: LocalDbtCloud,
) -> None:
    run_id = tables.trigger(DAILY_BUILD, steps_override=[TESTED, "dbt test --select stg_orders"])

    events = events_of(tables, run_id)

    run = tables.get(f"runs/{run_id}/")
    times = [moment(one["eventTime"]) for one in events]
    assert times == sorted(times)
    assert (times[0], times[-1]) == (moment(run["started_at"]), moment(run["finished_at"]))
    assert "parent" not in events[0]["run"]["facets"]
    assert events_of(tables, run_id) == events


def test_failed_run_and_its_resumed_run_have_different_nodes(tables: LocalDbtCloud) -> None:
    with missing_table(tables, "stores"):
        failed = tables.trigger(DAILY_BUILD, steps_override=[STORES])
        tables.wait(failed)
    retry = tables.request("POST", f"runs/{failed}/retry/").json()["data"]["id"]

    first, second = events_of(tables, failed), events_of(tables, retry)

    assert ends(first) == {
        JOB: "FAIL",
        "stg_products.build.run": "COMPLETE",
        "stg_stores.build.run": "FAIL",
    }
    assert ends(second) == {JOB: "COMPLETE", "stg_stores.build.run": "COMPLETE"}
    assert end_of(first, JOB)["run"]["facets"]["errorMessage"]["message"]
    assert end_of(first, "stg_stores.build.run")["outputs"] == []
    runs = [{one["run"]["runId"] for one in events} for events in (first, second)]
    assert not runs[0] & runs[1]


def test_cancelled_run_is_aborted(tables: LocalDbtCloud) -> None:
    with open_warehouse(tables):
        run_id = tables.trigger(DAILY_BUILD, steps_override=[STORES])
        assert tables.request("POST", f"runs/{run_id}/cancel/").is_success
        events = events_of(tables, run_id)

    assert ends(events) == {JOB: "ABORT"}


def test_datasets_have_the_columns_of_the_catalog_and_the_given_namespace(
    tables: LocalDbtCloud,
) -> None:
    steps = ["dbt run --select stg_stores"]
    run_id = tables.trigger(DAILY_BUILD, steps_override=steps, generate_docs_override=True)

    events = events_of(tables, run_id, namespace="snowflake://account/")

    (dataset,) = end_of(events, "stg_stores")["outputs"]
    assert dataset["namespace"] == "snowflake://account"
    columns = {one["name"]: one["type"] for one in dataset["facets"]["schema"]["fields"]}
    assert columns["store_id"] in ("BIGINT", "INTEGER", "VARCHAR")


def test_no_event_contains_the_token(tables: LocalDbtCloud) -> None:
    run_id = tables.trigger(DAILY_BUILD, steps_override=[STORES])

    assert tables.token not in str(events_of(tables, run_id))

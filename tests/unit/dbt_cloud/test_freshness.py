"""How fresh dbt's sources are, as dbt itself says and as people read it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import duckdb
import pytest
from airflow.sdk.exceptions import AirflowFailException

from include.dbt_cloud.freshness import SourceFreshness, WaitForFreshSourcesOperator, still_stale
from tests.running_dbt_cloud import DAILY_BUILD, RunningDbtCloud

FRESHNESS = "dbt source freshness"


def gate(**arguments: Any) -> WaitForFreshSourcesOperator:
    return WaitForFreshSourcesOperator(task_id="wait", job_id=DAILY_BUILD, **arguments)


def loaded(server: RunningDbtCloud, **tables: str | None) -> None:
    """Writes into the log of loads how long ago each table was loaded; None for never."""
    with duckdb.connect(server.data / "warehouse.duckdb") as warehouse:
        for table, ago in tables.items():
            warehouse.execute("delete from raw.loads where table_name = ?", [table])
            if ago:
                warehouse.execute(
                    f"insert into raw.loads values (?, now() - interval {ago}, 1)", [table]
                )


@pytest.fixture
def server(dbt_cloud_connection: RunningDbtCloud) -> Iterator[RunningDbtCloud]:
    dbt_cloud_connection.wait(dbt_cloud_connection.trigger(steps_override=["dbt deps"]))
    yield dbt_cloud_connection
    loaded(dbt_cloud_connection, orders="1 hour", payments="1 hour", stores="1 hour")


def test_each_source_says_when_it_was_loaded_and_what_is_allowed(server: RunningDbtCloud) -> None:
    loaded(server, orders="30 hours", payments="74 hours", stores=None)
    run_id = server.trigger(steps_override=[FRESHNESS])
    server.wait(run_id)

    sources = {source.name: source for source in gate().sources_of(run_id)}

    assert len(sources) == 6
    assert {name: source.status for name, source in sources.items()} | {
        "jaffle_shop.orders": "warn",
        "jaffle_shop.payments": "error",
        "jaffle_shop.stores": "error",
    } == {name: source.status for name, source in sources.items()}
    assert str(sources["jaffle_shop.payments"]) == (
        "jaffle_shop.payments was loaded 3 days 2 hours ago, allowed are 2 days"
    )
    assert str(sources["jaffle_shop.stores"]) == "jaffle_shop.stores was never loaded"


def test_a_run_without_results_fails_with_what_dbt_said(server: RunningDbtCloud) -> None:
    run_id = server.trigger(steps_override=[f"{FRESHNESS} --no-such-option"])
    server.wait(run_id)

    with pytest.raises(Exception, match=f"dbt Cloud run {run_id} failed"):
        gate().sources_of(run_id)


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("dbt parse", "has no step `dbt source freshness`"),
        (f"{FRESHNESS} --select source:nothing", "looked at no source"),
    ],
)
def test_a_job_that_looks_at_no_source_is_refused(
    server: RunningDbtCloud, command: str, reason: str
) -> None:
    run_id = server.trigger(steps_override=[command])
    server.wait(run_id)

    with pytest.raises(AirflowFailException, match=reason):
        gate().sources_of(run_id)


def test_a_source_that_cannot_be_read_says_why() -> None:
    source = SourceFreshness.of(
        {
            "unique_id": "source.shop.erp.orders",
            "error": "Table erp.orders does not exist",
            "status": "runtime error",
        }
    )

    assert str(source) == "erp.orders cannot be read: Table erp.orders does not exist"
    assert "1 source is stale after 2 hours of waiting:\n  erp.orders" in still_stale([source], 120)

"""Tests of the freshness of dbt sources."""

from __future__ import annotations

import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest

pytest.importorskip("hypothesis")  # not in the Astro image
from airflow.sdk.exceptions import AirflowException, AirflowFailException, TaskDeferred
from hypothesis import given
from hypothesis import strategies as st

from include.dbt_cloud.freshness import SourceFreshness, WaitForFreshSourcesOperator, still_stale
from include.local_dbt_cloud.testing import LocalDbtCloud
from tests.bundled import DAILY_BUILD
from tests.unit.dbt_cloud.conftest import BUILD
from tests.unit.dbt_cloud.loose_json import MOMENTS, objects

FRESHNESS = "dbt source freshness"


def gate(**arguments: Any) -> WaitForFreshSourcesOperator:
    return WaitForFreshSourcesOperator(task_id="wait", job_id=DAILY_BUILD, **arguments)


def loaded(server: LocalDbtCloud, **tables: str | None) -> None:
    """Log loads of tables with the given age; None is never."""
    with duckdb.connect(server.data / "warehouse.duckdb") as warehouse:
        for table, ago in tables.items():
            warehouse.execute("delete from raw.loads where table_name = ?", [table])
            if ago:
                warehouse.execute(
                    f"insert into raw.loads values (?, now() - interval {ago}, 1)", [table]
                )


@pytest.fixture
def server(dbt_cloud_connection: LocalDbtCloud) -> Iterator[LocalDbtCloud]:
    dbt_cloud_connection.wait(
        dbt_cloud_connection.trigger(DAILY_BUILD, steps_override=["dbt deps"])
    )
    yield dbt_cloud_connection
    loaded(dbt_cloud_connection, orders="1 hour", payments="1 hour", stores="1 hour")


def test_sources_of_reads_status_age_and_limit_of_each_source(server: LocalDbtCloud) -> None:
    loaded(server, orders="30 hours", payments="74 hours", stores=None)
    run_id = server.trigger(DAILY_BUILD, steps_override=[FRESHNESS])
    server.wait(run_id)

    sources = {source.name: source for source in gate().sources_of(run_id)}

    assert len(sources) == 6
    assert {name: source.status for name, source in sources.items()} | {
        "jaffle_shop.orders": "warn",
        "jaffle_shop.payments": "error",
        "jaffle_shop.stores": "error",
    } == {name: source.status for name, source in sources.items()}
    assert str(sources["jaffle_shop.payments"]) == (
        "jaffle_shop.payments was loaded 3 days 2 hours ago (allowed: 2 days)"
    )
    assert str(sources["jaffle_shop.stores"]) == "jaffle_shop.stores was never loaded"


def test_sources_of_raises_for_a_run_without_results(server: LocalDbtCloud) -> None:
    run_id = server.trigger(DAILY_BUILD, steps_override=[f"{FRESHNESS} --no-such-option"])
    server.wait(run_id)

    with pytest.raises(Exception, match=f"dbt Cloud run {run_id} failed"):
        gate().sources_of(run_id)


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("dbt parse", "has no step `dbt source freshness`"),
        (f"{FRESHNESS} --select source:nothing", "checked no source"),
    ],
)
def test_sources_of_rejects_a_run_that_checked_no_source(
    server: LocalDbtCloud, command: str, reason: str
) -> None:
    run_id = server.trigger(DAILY_BUILD, steps_override=[command])
    server.wait(run_id)

    with pytest.raises(AirflowFailException, match=reason):
        gate().sources_of(run_id)


def test_source_freshness_reports_why_a_source_cannot_be_read() -> None:
    source = SourceFreshness.of(
        {
            "unique_id": "source.shop.erp.orders",
            "error": "Table erp.orders does not exist",
            "status": "runtime error",
        }
    )

    assert str(source) == "erp.orders cannot be read: Table erp.orders does not exist"
    assert "1 source is stale after 2 hours of waiting:\n  erp.orders" in still_stale([source], 120)


def decided(run_id: int, minutes_left: float = 60.0) -> dict[str, Any]:
    """Return the gate's decision after a run, before its deadline in so many minutes."""
    give_up_at = time.time() + 60 * minutes_left
    ti = SimpleNamespace(task_id="wait", map_index=-1, xcom_pull=lambda **_: give_up_at)
    context = {"ti": ti}
    return gate(check_interval=7).decide(context, {"outcome": "ended", "run_id": run_id})


def checks_again(run_id: int) -> bool:
    with pytest.raises(TaskDeferred) as deferred:
        decided(run_id)
    return deferred.value.method_name == "look"


def cancelled(server: LocalDbtCloud, run_id: int) -> None:
    assert server.request("POST", f"runs/{run_id}/cancel/").is_success
    assert server.wait(run_id)["is_cancelled"]


def test_wait_for_fresh_sources_retries_after_a_cancelled_run(
    server: LocalDbtCloud, held_warehouse: None
) -> None:
    active = server.trigger(DAILY_BUILD, steps_override=[BUILD])
    queued = server.trigger(DAILY_BUILD, steps_override=[FRESHNESS])
    cancelled(server, queued)
    cancelled(server, active)
    assert server.get(f"runs/{queued}/", include_related="run_steps")["run_steps"] == []

    for run_id in (queued, active):
        assert checks_again(run_id)
        with pytest.raises(AirflowException, match=f"run {run_id} was cancelled") as failure:
            decided(run_id, minutes_left=0)
        assert not isinstance(failure.value, AirflowFailException)


def test_wait_for_fresh_sources_retries_after_a_failure_before_the_check(
    server: LocalDbtCloud,
) -> None:
    run_id = server.trigger(DAILY_BUILD, steps_override=["dbt deps --no-such-option", FRESHNESS])
    server.wait(run_id)

    assert checks_again(run_id)
    with pytest.raises(
        AirflowException, match=r"(?s)No such option.*checks with a new run"
    ) as failure:
        decided(run_id, minutes_left=0)
    assert not isinstance(failure.value, AirflowFailException)


RESULTS = objects(
    unique_id=st.sampled_from(["source.shop.erp.orders", "source", ""]),
    status=st.sampled_from(["pass", "warn", "error", "runtime error", "Pass", "skipped", "stale"]),
    max_loaded_at=MOMENTS,
    max_loaded_at_time_ago_in_s=st.floats(0, 1e6),
    criteria=objects(
        error_after=objects(count=st.integers(), period=st.sampled_from(["day", "hour"]))
    ),
    error=st.text(max_size=9),
)


@given(RESULTS)
def test_any_source_result_is_fresh_only_for_pass_and_warn(result: dict[str, Any]) -> None:
    source = SourceFreshness.of(result)

    assert source.is_fresh is (str(result.get("status")) in ("pass", "warn"))
    still_stale([source], 120).encode()


@pytest.mark.parametrize(
    ("result", "sentence"),
    [
        ({"max_loaded_at": "0001-01-01T00:00:00+00:00Z"}, "erp.orders was never loaded"),
        ({"max_loaded_at": "0001-01-01T00:00:00+14:00"}, "erp.orders was never loaded"),
        ({}, "erp.orders was never loaded"),
        (
            {"max_loaded_at": "2026-11-26 10:00:00", "criteria": None},
            "erp.orders was loaded at 2026-11-26 10:00:00",
        ),
        (
            {"max_loaded_at": "9999-12-31", "max_loaded_at_time_ago_in_s": -2.5e11},
            "erp.orders was loaded at 9999-12-31",
        ),
        (
            {
                "max_loaded_at": "2026-11-26T10:00:00Z",
                "max_loaded_at_time_ago_in_s": "7200",
                "criteria": {"error_after": {"count": "1", "period": "hour"}},
            },
            "erp.orders was loaded 2 hours ago (allowed: 1 hour)",
        ),
        (
            {"max_loaded_at": "noon", "criteria": {"error_after": {"count": 2, "period": None}}},
            "erp.orders was loaded at noon",
        ),
        ({"status": "skipped"}, "erp.orders was not checked: its status is skipped"),
        ({"status": None}, "erp.orders was not checked: its status is unknown"),
        ({"status": "PASS"}, "erp.orders was not checked: its status is PASS"),
        ({"status": "runtime error"}, "erp.orders cannot be read: dbt gives no reason"),
        ({"error": {"code": 7}}, "erp.orders cannot be read: {'code': 7}"),
    ],
)
def test_source_freshness_describes_incomplete_results(
    result: dict[str, Any], sentence: str
) -> None:
    whole = {"unique_id": "source.shop.erp.orders", "status": "error"} | result

    assert str(SourceFreshness.of(whole)) == sentence

"""Tests of the count of models built, with values worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import ObjectStoragePath

from include.dbt_cloud.api.artifacts import Node
from include.dbt_cloud.reports.history import RUNS_PER_JOB, History
from include.dbt_cloud.reports.results import Results
from include.dbt_cloud.reports.stored_run import StoredRun, decoded, encoded
from include.dbt_cloud.reports.usage import (
    JobUsage,
    ModelUsage,
    Total,
    builds_in,
    job_usage,
    read_usage,
    totals,
)

JOB, PROJECT = 65767, 36467
ORDERS, STORES = "model.shop.orders", "model.shop.stores"


def run(run_id: int, started_at: str | None = "2026-11-25 10:00:00+00:00", **more: Any) -> Any:
    fixed = {"job_definition_id": JOB, "project_id": PROJECT, "status": 10}
    return {"id": run_id, "started_at": started_at, "job": {"name": "Daily"}, **fixed, **more}


def built(unique_id: str, seconds: float = 1.0, status: str = "success", step: int = 4) -> Node:
    return Node(unique_id, status, seconds, "", step)


def usage(*kept: Results) -> list[ModelUsage]:
    builds = [builds_in(file_of(results)) for results in kept]
    return job_usage(JOB, builds, len(builds)).models


def file_of(results: Results) -> StoredRun:
    return decoded(encoded(results.run, results.nodes, None).encode())


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(ObjectStoragePath(f"file://{tmp_path}/history"))


def test_only_models_that_were_built_count_also_in_a_failed_run() -> None:
    nodes = [
        built(ORDERS, 2.0),
        built(STORES, 9.0, "error"),
        built("model.shop.plan", 0.0, "skipped"),
        built("model.shop.noop", 0.0, "no-op"),
        built("model.shop.days", 5.0, "partial success"),
        built("seed.shop.countries"),
        built("snapshot.shop.prices"),
        built("test.shop.unique_orders.f00", status="pass"),
    ]

    found = usage(Results(run(1, status=20), nodes))

    assert found == [ModelUsage("2026-11", PROJECT, JOB, ORDERS, 1, 0, 2.0)]


def test_each_build_counts_and_reuses_are_counted_apart() -> None:
    """Three builds take 2.0 + 3.0 + 4.0 s; the fourth time orders is reused."""
    twice = Results(run(1), [built(ORDERS, 2.0), built(ORDERS, 3.0, step=5)])
    once = Results(run(2), [built(ORDERS, 4.0), built(STORES, 0.25, "reused")])
    reused = Results(run(3), [built(ORDERS, 0.25, "reused")])

    assert usage(twice, once, reused) == [
        ModelUsage("2026-11", PROJECT, JOB, ORDERS, 3, 1, 9.0),
        ModelUsage("2026-11", PROJECT, JOB, STORES, 0, 1, 0.0),
    ]


@pytest.mark.parametrize(
    ("started_at", "month"),
    [
        ("2026-11-30 23:59:59+00:00", "2026-11"),
        ("2026-12-01 00:00:00+00:00", "2026-12"),
        ("2026-12-01 05:00:00+05:30", "2026-11"),  # 23:30 UTC on the day before
        (None, "unknown"),
        ("yesterday", "unknown"),
    ],
)
def test_run_counts_in_the_utc_month_of_its_start(started_at: str | None, month: str) -> None:
    assert [one.month for one in usage(Results(run(1, started_at), [built(ORDERS)]))] == [month]


def test_run_without_a_start_counts_when_it_was_created_and_a_missing_project_is_0() -> None:
    odd = run(1, None, created_at="2026-10-01 00:00:00Z", project_id="x")

    (found,) = usage(Results(odd, [built(ORDERS)]))

    assert (found.month, found.project_id) == ("2026-10", 0)


def test_totals_are_the_sums_for_each_value_of_the_key() -> None:
    usages = [
        ModelUsage("2026-11", 1, JOB, ORDERS, 3, 1, 9.0),
        ModelUsage("2026-11", 1, JOB, STORES, 2, 0, 0.5),
        ModelUsage("2026-12", 1, JOB, ORDERS, 4, 2, 10.0),
    ]

    assert totals(usages, lambda one: one.month) == {
        "2026-11": Total(5, 1, 9.5),
        "2026-12": Total(4, 2, 10.0),
    }
    assert totals(usages, lambda one: one.unique_id)[ORDERS] == Total(7, 3, 19.0)
    assert totals([], lambda one: one.month) == {}


def test_usage_of_each_job_has_its_name_begin_and_unreadable_files(history: History) -> None:
    history.keep(Results(run(1, "2026-10-30 10:00:00Z"), [built(ORDERS)]))
    history.keep(Results(run(2, "2026-11-02 10:00:00Z", job={"name": "Nightly"}), [built(ORDERS)]))
    history.keep(Results(run(3, job_definition_id=7, job=None), []))
    (history.folder / str(JOB) / "9.json").write_text("{")

    nightly, empty = read_usage(history)

    assert nightly == JobUsage(
        job_id=JOB,
        name="Nightly",
        models=[
            ModelUsage("2026-11", PROJECT, JOB, ORDERS, 1, 0, 1.0),
            ModelUsage("2026-10", PROJECT, JOB, ORDERS, 1, 0, 1.0),
        ],
        begin=datetime(2026, 10, 30, 10, tzinfo=UTC),
        stored=3,
        unreadable=1,
    )
    assert (empty.name, empty.models) == ("Job 7", [])
    assert not nightly.lacks_runs_of("2026-10")


def test_usage_counts_a_run_that_was_stored_again_once(history: History) -> None:
    history.keep(Results(run(1), [built(ORDERS)]))
    read_usage(history)
    history.keep(Results(run(1), [built(ORDERS), built(STORES)]))

    (job,) = read_usage(history)

    assert [one.built for one in job.models] == [1, 1]


def test_job_with_200_stored_runs_lacks_runs_of_the_month_in_which_they_begin() -> None:
    job = JobUsage(JOB, "Daily", [], datetime(2026, 10, 30, tzinfo=UTC), RUNS_PER_JOB, 0)

    months = ("2026-09", "2026-10", "2026-11")

    assert [job.lacks_runs_of(month) for month in months] == [True, True, False]
    assert not replace(job, stored=RUNS_PER_JOB - 1).lacks_runs_of("2026-10")

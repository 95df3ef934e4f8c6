"""Tests of a model over its runs, and of its regressions, with values worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from airflow.sdk import ObjectStoragePath
from msgspec.structs import replace

from include.dbt_cloud.api.artifacts import Node
from include.dbt_cloud.reports.history import History
from include.dbt_cloud.reports.model_runs import (
    ModelRun,
    Regression,
    build_times,
    model_runs,
    regressions,
)
from include.dbt_cloud.reports.results import Results
from include.dbt_cloud.reports.timeline import stored_timeline
from tests.unit.dbt_cloud.reports.test_run_times import STEADY
from tests.unit.dbt_cloud.reports.test_timeline import JOB, MANIFEST, TEST, A, B, node, results

OLD = Node(A, "success", 2.0, "", 4)


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(ObjectStoragePath(f"file://{tmp_path}/history"))


def keep(history: History, run_id: int, *nodes: Node) -> Results:
    kept = results(list(nodes), run_id)
    history.keep(kept, stored_timeline(kept, MANIFEST))
    return kept


def found(seconds: list[float]) -> list[Regression]:
    return regressions(build_times("orders", seconds))


def test_model_run_has_seconds_rows_and_only_its_own_tests(history: History) -> None:
    other = "test.shop.unique_b.f01"
    keep(
        history,
        1,
        node(A, 0, 2, rows=120),
        node(B, 2, 3),
        node(TEST, 2, 3, status="fail"),
        node(other, 3, 4, status="pass"),
    )

    (one,) = model_runs(history, JOB, A)

    assert (one.status, one.seconds, one.is_built, one.rows) == ("success", 2.0, True, 120)
    assert one.tests == {TEST: "fail"}


def test_model_runs_are_oldest_first_without_runs_that_lack_the_model(history: History) -> None:
    keep(history, 1, node(A, 0, 2))
    keep(history, 2, node(B, 0, 2))
    keep(history, 3, node(A, 0, 4))
    (history.folder / str(JOB) / "4.json").write_text("{")

    assert [(one.run["id"], one.seconds) for one in model_runs(history, JOB, A)] == [(1, 2), (3, 4)]
    assert model_runs(history, JOB, "model.shop.missing") == []


def test_model_of_two_steps_has_the_sum_of_seconds_and_the_last_status(history: History) -> None:
    keep(history, 1, node(A, 0, 2, rows=7), node(A, 5, 6, step=5, status="error", rows=None))

    (one,) = model_runs(history, JOB, A)

    assert (one.status, one.seconds, one.is_built, one.rows) == ("error", 3.0, False, None)


def test_model_run_of_an_earlier_version_has_no_rows_and_no_tests(history: History) -> None:
    history.keep(results([OLD]))
    file = history.folder / str(JOB) / "7.json"
    content = json.loads(file.read_text())
    del content["timeline"]
    file.write_text(json.dumps(content))

    (one,) = model_runs(history, JOB, A)

    assert one == ModelRun(one.run, "success", 2.0, True, None, None)


def test_model_run_without_times_is_not_built(history: History) -> None:
    keep(history, 1, replace(OLD, status="reused", seconds=0.0))

    (one,) = model_runs(history, JOB, A)

    assert (one.status, one.is_built, one.seconds) == ("reused", False, 0.0)
    assert one.tests == {}


def test_build_is_compared_with_at_most_20_builds_before_it() -> None:
    seconds = [float(one) for one in range(25)]

    times = build_times("orders", seconds)

    assert [len(one.history) for one in times] == [*range(20), *[20] * 5]
    assert times[24].history == seconds[4:24]


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ([*STEADY, 13.0, 14.0, 15.0], [Regression(10, 3, 10.0, 14.0)]),
        ([*STEADY, 13.0, 14.0], []),  # two slower builds are too few
        ([*STEADY, 13.0, 10.0, 14.0, 15.0], []),  # not in a row
        ([*STEADY[:9], 13.0, 14.0, 15.0], []),  # nine builds are too few to compare with
        ([*STEADY, 11.9, 11.9, 11.9], []),  # less than 20 % slower
        # The new time is compared with the builds before the first slow one, until one is fast.
        (
            [*STEADY, *[13.0] * 15, 10.0, *[13.0] * 2],
            [Regression(10, 15, 10.0, 13.0)],
        ),
        # After a return to 10 s, the next slow builds are another regression: the 18 builds
        # before place 18 are 10 of STEADY, 3 of 20 s and 5 of 10 s, so their median is 10 s.
        (
            [*STEADY, *[20.0] * 3, *[10.0] * 5, *[20.0] * 3],
            [Regression(10, 3, 10.0, 20.0), Regression(18, 3, 10.0, 20.0)],
        ),
        # After 20 slow builds, 13 s are usual, and 16 s are slower again.
        (
            [*STEADY, *[13.0] * 20, *[16.0] * 3],
            [Regression(10, 20, 10.0, 13.0), Regression(30, 3, 13.0, 16.0)],
        ),
        ([], []),
        ([5.0], []),
    ],
)
def test_regression_begins_at_the_first_of_three_slower_builds(
    seconds: list[float], expected: list[Regression]
) -> None:
    assert found(seconds) == expected

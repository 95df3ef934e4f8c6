"""Tests of the detection of slower models."""

from __future__ import annotations

import pytest

from include.dbt_cloud.api.artifacts import Node
from include.dbt_cloud.reports.results import Results
from include.dbt_cloud.reports.run_times import RunTime, compare, is_slower, spread

STEADY = [10.0, 10.2, 9.9, 10.1, 10.0, 9.8, 10.1, 10.0, 9.9, 10.2]  # median 10, spread 0.1
WILD = [4.0, 16.0, 9.0, 11.0, 14.0, 6.0, 10.0, 12.0, 8.0, 10.0]  # median 10, spread 2


def results(**seconds: float) -> Results:
    nodes = [Node(f"model.shop.{name}", "success", took, "", 4) for name, took in seconds.items()]
    return Results({}, nodes)


def test_spread_is_the_median_absolute_deviation() -> None:
    assert spread(STEADY) == pytest.approx(0.1)
    assert spread(WILD) == pytest.approx(2.0)
    assert spread([]) == 0


@pytest.mark.parametrize(
    ("seconds", "history", "expected"),
    [
        (13.0, STEADY, True),
        (11.9, STEADY, False),  # an outlier, but less than 20 % slower
        (7.0, STEADY, False),  # faster
        (13.0, WILD, False),  # within the usual range
        (20.3, WILD, False),  # a score of 3.47
        (20.5, WILD, True),  # a score of 3.54
        (13.0, STEADY[:9], False),  # nine runs are too few
        (13.0, [*STEADY[:9], 600.0], True),  # one slow run has little effect
        (0.3, [0.1] * 10, False),  # three times as long, but short
        (12.1, [10.0] * 10, True),  # no spread at all
        (1.0, [], False),
    ],
)
def test_is_slower_requires_an_outlier_of_relevant_size(
    seconds: float, history: list[float], expected: bool
) -> None:
    assert is_slower(seconds, history) is expected


@pytest.mark.parametrize(
    ("seconds", "history", "expected"),
    [
        (0.8, [0.29] * 3, True),
        (0.8, [0.29] * 2, False),  # two runs are too few
        (0.43, [0.29] * 3, False),  # 1.48 times the median
        (0.04, [0.01] * 3, False),  # four times as long, but short
        (15.0, WILD, True),
        (1.0, [], False),
        (0.1, [0.0] * 3, True),
    ],
)
def test_unusual_run_time_is_longer_than_the_median_of_few_runs(
    seconds: float, history: list[float], expected: bool
) -> None:
    assert RunTime("orders", seconds, history).is_unusual is expected


def test_ratio_compares_with_the_median() -> None:
    assert RunTime("orders", 3.0, [1.0, 2.0, 9.0]).ratio == 1.5
    assert RunTime("orders", 3.0, []).ratio == 0


def test_compare_uses_each_models_own_history_oldest_first() -> None:
    earlier = [results(orders=3.0), results(orders=2.0, stores=1.0), results(stores=9.0)]

    orders, stores = compare(results(stores=0.5, orders=5.0), earlier)

    assert (orders.name, orders.seconds, orders.history) == ("orders", 5.0, [2.0, 3.0])
    assert (stores.history, stores.median, stores.spread) == ([9.0, 1.0], 5.0, 4.0)


def test_model_seconds_sum_repeated_builds_and_omit_failed_models() -> None:
    run = Results(
        {},
        [
            Node("model.shop.orders", "success", 2.0, "", 4),
            Node("model.shop.orders", "success", 3.0, "", 5),
            Node("model.shop.stores", "success", 1.0, "", 4),
            Node("model.shop.stores", "error", 0.1, "", 5),
            Node("test.shop.unique_orders.a1b2", "pass", 9.0, "", 4),
        ],
    )

    assert run.model_seconds == {"model.shop.orders": 5.0}

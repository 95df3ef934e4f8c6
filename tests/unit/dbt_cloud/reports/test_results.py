"""Tests of results of nodes that ran twice or share a name."""

from __future__ import annotations

from include.dbt_cloud.api.artifacts import Node
from include.dbt_cloud.page.content import model_times
from include.dbt_cloud.reports.report import as_data, as_page, as_table
from include.dbt_cloud.reports.results import Results
from include.dbt_cloud.reports.run_times import compare

RUN = {"id": 7, "status_humanized": "Error", "href": "https://cloud.getdbt.com/7"}
ORDERS, TEST = "model.shop.orders", "test.shop.unique_orders.a1b2c3d4e5"
OTHER_ORDERS = "model.erp.orders"


def test_results_use_the_last_outcome_of_each_node() -> None:
    results = Results(
        RUN,
        [
            Node(ORDERS, "success", 2.0, "OK", 4),
            Node("model.shop.stores", "error", 1.0, "no table", 4),
            Node(TEST, "warn", 0.1, "Got 1 result", 4),
            Node(ORDERS, "error", 3.0, "out of memory", 5),
            Node("model.shop.stores", "success", 1.0, "OK", 5),
            Node(TEST, "pass", 0.4, "", 5),
        ],
    )

    assert results.counts == {"error": 1, "success": 1, "pass": 1}
    assert [(node.unique_id, node.message) for node in results.failed] == [
        (ORDERS, "out of memory")
    ]
    assert results.warned == []
    assert as_data(results, [])["slowest"] == {ORDERS: 5.0, "model.shop.stores": 2.0, TEST: 0.5}


def test_run_times_separate_same_named_models_of_two_packages() -> None:
    both = [Node(ORDERS, "success", 2.0, "", 4), Node(OTHER_ORDERS, "success", 30.0, "", 4)]
    before = Results(RUN, [Node(ORDERS, "success", 1.0, "", 4)])

    times = compare(Results(RUN, both), [before])

    assert [(time.name, time.seconds, time.history) for time in times] == [
        ("erp.orders", 30.0, []),
        ("shop.orders", 2.0, [1.0]),
    ]
    times = model_times([Results(RUN, both), before])
    assert [(time.name, time.history) for time in times] == [
        ("erp.orders", []),
        ("shop.orders", [1.0]),
    ]


def test_reports_show_the_package_only_of_nodes_that_share_a_name() -> None:
    failed = [
        Node(ORDERS, "error", 2.0, "", 4),
        Node(OTHER_ORDERS, "error", 3.0, "", 4),
        Node(TEST, "fail", 0.1, "", 4),
    ]
    results = Results(RUN, failed)

    for report in (as_table(results, []), as_page(results, [])):
        assert "model shop.orders" in report
        assert "model erp.orders" in report
        assert "test unique_orders" in report

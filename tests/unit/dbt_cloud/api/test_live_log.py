from __future__ import annotations

import pytest

from include.dbt_cloud.api.live_log import (
    Failure,
    failed_batches,
    read_failures,
    read_line,
    read_log,
)
from include.dbt_cloud.models.lineage import LineageNode
from tests.unit.dbt_cloud.models.recordings.recording import RECORDINGS, UNTRUE, outcomes, steps

CORE = """\
18:54:04  Running with dbt=1.11.16
18:54:04  1 of 25 START sql view model analytics.stg_orders ........ [RUN]
18:54:05  1 of 25 OK created sql view model analytics.stg_orders ........ [OK in 0.91s]
18:54:05  2 of 25 OK loaded seed file analytics.countries ........ [INSERT 249 in 0.06s]
18:54:06  3 of 25 PASS unique_orders_order_id ........ [PASS in 0.38s]
18:54:07  4 of 25 FAIL 15080 order_total_is_subtotal_plus_tax ........ [FAIL 15080 in 0.11s]
18:54:07  5 of 25 WARN 3 accepted_values_stg_orders_status__completed__returned  [WARN 3 in 0.61s]
18:54:07  6 of 25 SKIP relation analytics.customers ........ [SKIP]
18:54:07  7 of 25 ERROR creating sql table model analytics.stores  [\x1b[31mERROR\x1b[0m in 0.10s]
18:54:07  8 of 25 NO-OP saved query revenue ........ [NO-OP in 0.00s]
18:54:07  9 of 25 PASS customers::spend_counts ........ [PASS in 1.01s]
18:54:07  10 of 25 START sql table model analytics.orders ........ [RUN]
18:54:07  Done. PASS=14 WARN=0 ERROR=1 SKIP=10 NO-OP=0 TOTAL=25
"""

# https://docs.getdbt.com/docs/build/udfs, and lines posted by users of Fusion
FUSION = """\
dbt-fusion 2.0.0-preview.45
 Succeeded [  0.98s] function dbt_schema.whoami (function)
 Succeeded [  0.02s] seed  main.referrer_mapping (table)
    Passed [  0.01s] test  not_null_referrer_mapping_host
    Warned [  0.01s] test  unique_referrer_mapping_host (seeds/referrer_mapping.yml:8:13)
    Reused [  0.51s] model analytics.stg_salesforce__rev_schedules
   Skipped [  0.01s] model analytics.downstream (view)
    Failed [  0.01s] model analytics.broken (table)
    Failed [  0.01s] test  unique_orders
"""

# From the debug log of dbt 1.11.16, during another model's build.
DEBUG = """\
21:59:45.803438 [debug] [Thread-4 (worker)]: Compilation Error in model raises (models/raises.sql)
  I say no
21:59:45.809168 [error] [Thread-4 (worker)]: 2 of 9 ERROR creating sql view model analytics.raises ... [ERROR in 0.02s]
21:59:45.809930 [debug] [Thread-4 (worker)]: Finished running node model.slow.raises
21:59:45.813236 [debug] [Thread-8 (_handle_results)]: Marking all children of 'model.slow.raises' to be skipped because of status 'error'.  Reason: Compilation Error in model raises (models/raises.sql)
  I say no.
21:59:45.903805 [debug] [Thread-2 (worker)]: On model.slow.bad: BEGIN
21:59:45.904505 [debug] [Thread-2 (worker)]: On model.slow.bad: /* {"app": "dbt", "dbt_version": "1.11.16", "node_id": "model.slow.bad"} */

  
  create view "warehouse"."analytics"."bad__dbt_tmp" as (
    select * from nowhere
  );

21:59:45.915676 [debug] [Thread-2 (worker)]: On model.slow.bad: ROLLBACK
21:59:45.916588 [debug] [Thread-2 (worker)]: On model.slow.bad: Close
21:59:45.934207 [debug] [Thread-2 (worker)]: Runtime Error in model bad (models/bad.sql)
  Catalog Error: Table with name nowhere does not exist!
  Did you mean "slower"?
21:59:45.935453 [\x1b[0mdebug] [Thread-8 (_handle_results)]: Marking all children of 'model.slow.bad' to be skipped because of status 'error'.  Reason: Runtime Error in model bad (models/bad.sql)
  Catalog Error: Table with name nowhere does not exist!
  Did you mean "slower"?.
2026-11-25 21:59:45.936929 [debug] [Thread-8 (_handle_results)]: Marking all children of 'model.slow.after_bad' to be skipped because of status 'skipped'. 
21:59:45.949777 [debug] [Thread-3 (worker)]: Marking all children of 'unit_test.slow.good.unit_good' to be skipped because of status 'fail'.  Reason: 

actual differs from expected:

@@ ,id
+++,1
---,3

.
21:59:45.949989 [debug] [Thread-3 (worker)]: Began running node model.slow.good
"""  # noqa: E501  # as dbt writes it


def test_read_log_reads_lines_of_dbt_core() -> None:
    lines = read_log(CORE)

    assert {label: one.status for label, one in lines.items()} == {
        "analytics.stg_orders": "success",
        "analytics.countries": "success",
        "unique_orders_order_id": "pass",
        "order_total_is_subtotal_plus_tax": "fail",
        "accepted_values_stg_orders_status__completed__returned": "warn",
        "analytics.stores": "error",
        "spend_counts": "pass",
        "analytics.orders": "started",
    }
    assert lines["analytics.stg_orders"].seconds == 0.91
    assert lines["analytics.countries"].rows == 249
    assert lines["order_total_is_subtotal_plus_tax"].rows == 15080


@pytest.mark.parametrize(
    "line",
    [
        "2 of 3 OK created sql table model other_db.analytics.orders ........ [OK in 0.09s]",
        " Succeeded [  0.09s] model other_db.analytics.orders (table)",
    ],
)
def test_read_line_labels_models_of_other_databases_like_the_lineage(line: str) -> None:
    relation = "other_db.analytics.orders"
    node = LineageNode("model.shop.orders", "orders", "model", (), relation=relation)

    found = read_line(line)

    assert found
    assert found.label == node.label == "analytics.orders"


def test_lineage_node_label_is_unchanged_without_a_database() -> None:
    node = LineageNode("model.shop.orders", "orders", "model", (), relation="analytics.orders")

    assert node.label == "analytics.orders"


def test_read_log_reads_lines_of_fusion() -> None:
    assert {label: one.status for label, one in read_log(FUSION).items()} == {
        "dbt_schema.whoami": "success",
        "main.referrer_mapping": "success",
        "not_null_referrer_mapping_host": "pass",
        "unique_referrer_mapping_host": "warn",
        "analytics.stg_salesforce__rev_schedules": "reused",
        "analytics.downstream": "skipped",
        "analytics.broken": "error",
        "unique_orders": "fail",
    }


@pytest.mark.parametrize(
    "line",
    [
        "",
        "18:54:04  Found 12 models, 11 data tests, 6 sources",
        "1 of 2 OK",
        "18:54:09  Finished running 6 table models in 0 hours 0 minutes and 3.31 seconds (3.31s).",
        "Succeeded without any node",
        "the model analytics.orders is OK [OK in 1s]",
    ],
)
def test_read_line_returns_none_for_other_lines(line: str) -> None:
    assert read_line(line) is None


def test_read_failures_reads_reasons_and_sql_from_the_debug_log() -> None:
    failures = read_failures(DEBUG)

    assert failures == {
        "model.slow.raises": Failure(
            "Compilation Error in model raises (models/raises.sql)\n  I say no"
        ),
        "model.slow.bad": Failure(
            "Runtime Error in model bad (models/bad.sql)\n"
            "  Catalog Error: Table with name nowhere does not exist!\n"
            '  Did you mean "slower"?',
            'create view "warehouse"."analytics"."bad__dbt_tmp" as (\n'
            "    select * from nowhere\n"
            "  );",
        ),
        "unit_test.slow.good.unit_good": Failure(
            "actual differs from expected:\n\n@@ ,id\n+++,1\n---,3"
        ),
    }


def test_read_failures_returns_nothing_for_a_log_without_levels() -> None:
    assert read_failures(CORE) == {}


TRUE = [one for one in RECORDINGS if one != UNTRUE]


@pytest.mark.parametrize("recording", RECORDINGS)
def test_log_and_results_agree(recording: str) -> None:
    for step in steps(recording):
        common = {key: pair for key, pair in outcomes(recording, step).items() if None not in pair}
        differ = {key: pair for key, pair in common.items() if len(set(pair)) > 1}
        assert bool(differ) is (recording == UNTRUE), differ


@pytest.mark.parametrize("recording", TRUE)
def test_log_has_the_outcome_of_every_node_that_ran(recording: str) -> None:
    for step in steps(recording):
        pairs = outcomes(recording, step)
        unread = {key for key, (by_log, by_results) in pairs.items() if not by_log and by_results}
        assert {key for key in unread if pairs[key][1] != "skipped"} == set()


@pytest.mark.parametrize("recording", [one for one in TRUE if one.startswith("2.0/")])
def test_log_of_dbt_2_has_the_outcome_of_skipped_nodes_too(recording: str) -> None:
    for step in steps(recording):
        pairs = outcomes(recording, step).values()
        assert [pair for pair in pairs if not pair[0] and pair[1] == "skipped"] == []


def test_recordings_are_of_three_versions_of_dbt() -> None:
    assert {one.partition("/")[0] for one in RECORDINGS} == {"1.11", "1.12", "2.0"}


@pytest.mark.parametrize(
    ("line", "status", "seconds"),
    [
        ("1 of 2 OK created sql view model a.b ..... [OK in 0.31s]", "success", 0.31),
        ("1 of 2 OK created sql view model a.b ..... [No new changes in 1.84s]", "reused", 1.84),
        ("1 of 2 OK created sql table model a.b . [CREATE (2m rows) in 7.0s]", "success", 7),
        ("1 of 2 PARTIALLY created a.b ... [PARTIAL SUCCESS (2/3) in 0.1s]",
         "partial success", 0.1),
        (" Succeeded [  2m19s] model a.b (table)", "success", 139),
        (" Succeeded [1h 2m 3s] model a.b (table)", "success", 3723),
        (" Succeeded [  874ms] model a.b (table)", "success", 0.874),
        ("   Skipped [-------] model a.b (table)", "skipped", 0),
        ("    Failed [  0.10s] seed  a.b (table)", "error", 0.1),
    ],
)  # fmt: skip
def test_read_line_reads_status_and_seconds(line: str, status: str, seconds: float) -> None:
    found = read_line(line)

    assert found
    assert (found.label, found.status, found.seconds) == ("a.b", status, seconds)


@pytest.mark.parametrize(
    "line",
    [
        "    Passed [  0.03s] unit_test analytics_dbt_test__audit.keeps_ids (models/a.yml:4:1)",
        "    Passed [  0.03s] test  analytics_dbt_test__audit.keeps_ids",
        "2 of 3 PASS orders::keeps_ids ........... [PASS in 0.14s]",
        "2 of 3 SKIP test keeps_ids .............. [SKIP]",
    ],
)
def test_read_line_finds_the_name_of_a_test(line: str) -> None:
    found = read_line(line)

    assert found
    assert found.label == "keeps_ids"


@pytest.mark.parametrize(
    "line",
    [
        "1 of 2 SKIP relation analytics.orders ... [SKIP]",
        "1 of 2 SKIP relation a.orders due to ephemeral model status 'error' ... [ERROR SKIP]",
        "1 of 2 SKIP unit_test keeps_ids ......... [SKIP]",
        "1 of 2 PASS freshness of analytics.orders ... [PASS in 0.10s]",
        "1 of 2 ERROR STALE freshness of analytics.orders ... [ERROR STALE in 0.10s]",
        "1 of 2 NO-OP exposure orders ............ [NO-OP in 0.00s]",
        "1 of 2 NO-OP saved query revenue ........ [NO-OP in 0.00s]",
        "1 of 1 OK hook: shop.on-run-start.0 ..... [OK in 0.01s]",
    ],
)
def test_read_line_skips_lines_that_may_be_of_another_node(line: str) -> None:
    assert read_line(line) is None


BATCHES = """\
10:00:00  1 of 2 START sql microbatch model a.orders ............. [RUN]
10:00:00  Batch 1 of 3 START batch 2026-09-01 of a.orders ........ [RUN]
10:00:00  Batch 1 of 3 OK created batch 2026-09-01 of a.orders ... [OK in 0.31s]
10:00:00  Batch 2 of 3 START batch 2026-09-02 of a.orders ........ [RUN]
10:00:01  Database Error in model orders (models/orders.sql)
  Division by zero
10:00:01  Batch 2 of 3 ERROR creating batch 2026-09-02 of a.orders  [\x1b[31mERROR\x1b[0m in 0.07s]
10:00:01  Batch 3 of 3 START batch 2026-09-03 of a.orders ........ [RUN]
10:00:01  Batch 3 of 3 ERROR creating batch 2026-09-03 of a.orders  [ERROR in 0.07s]
10:00:01  1 of 2 PARTIALLY created sql microbatch model a.orders   [PARTIAL SUCCESS (1/3) in 0.48s]
"""


def test_failed_batches_reads_the_error_of_each_batch() -> None:
    assert list(failed_batches(BATCHES)) == [
        "batch 2026-09-02 of a.orders: Database Error in model orders (models/orders.sql)\n"
        "  Division by zero",
        "batch 2026-09-03 of a.orders: no message in the log",
    ]


def test_failed_batches_leaves_out_mixed_lines_of_parallel_batches() -> None:
    mixed = BATCHES.replace(
        "10:00:01  Database", "Batch 3 of 3 START batch x of a.orders\nDatabase"
    )

    assert list(failed_batches(mixed)) == ["batch 2026-09-03 of a.orders: no message in the log"]

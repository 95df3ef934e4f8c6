from __future__ import annotations

import pytest

from include.dbt_cloud.models.live_log import message_about, read_line, read_log

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

# https://docs.getdbt.com/docs/build/udfs, and lines that users of Fusion have posted
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


def test_dbt_core_s_lines_are_read() -> None:
    said = read_log(CORE)

    assert {label: one.status for label, one in said.items()} == {
        "analytics.stg_orders": "success",
        "analytics.countries": "success",
        "unique_orders_order_id": "pass",
        "order_total_is_subtotal_plus_tax": "fail",
        "accepted_values_stg_orders_status__completed__returned": "warn",
        "analytics.customers": "skipped",
        "analytics.stores": "error",
        "revenue": "no-op",
        "customers::spend_counts": "pass",
        "analytics.orders": "started",
    }
    assert said["analytics.stg_orders"].seconds == 0.91
    assert said["analytics.countries"].rows == 249
    assert said["order_total_is_subtotal_plus_tax"].rows == 15080


def test_fusion_s_lines_are_read() -> None:
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
def test_other_lines_tell_nothing(line: str) -> None:
    assert read_line(line) is None


def test_the_message_of_a_failed_model_is_found_where_dbt_has_written_it() -> None:
    text = """\
18:54:07.123 [debug] [Thread-1]: Runtime Error in model stores (models/marts/stores.sql)
  Catalog Error: Table with name stores does not exist!
  LINE 3: from raw.stores
18:54:08.456 [debug] [Thread-2]: Finished running node model.jaffle_shop.stores
"""

    assert message_about("stores", text) == (
        "Runtime Error in model stores (models/marts/stores.sql)\n"
        "  Catalog Error: Table with name stores does not exist!\n"
        "  LINE 3: from raw.stores"
    )
    assert message_about("orders", text) == ""

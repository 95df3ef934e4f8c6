from __future__ import annotations

from include.dbt_cloud.models.following import selected
from include.dbt_cloud.recovery import select_only


def test_what_a_run_builds_again_is_known_by_names_that_need_quotes_too() -> None:
    nodes = ["größe", "orders", "unit_test:totals"]
    command = select_only("dbt build --vars '{a: b}'", nodes)

    assert command
    assert selected([command, "dbt parse"]) == set(nodes)

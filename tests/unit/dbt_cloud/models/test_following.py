from __future__ import annotations

import pytest

from include.dbt_cloud.models.following import Followed, selected
from include.dbt_cloud.recovery import select_only


def test_what_a_run_builds_again_is_known_by_names_that_need_quotes_too() -> None:
    nodes = ["größe", "orders", "unit_test:totals"]
    command = select_only("dbt build --vars '{a: b}'", nodes)

    assert command
    assert selected([command, "dbt parse"]) == set(nodes)


def test_without_a_run_to_follow_it_says_what_to_do() -> None:
    with pytest.raises(ValueError, match="started no run, whatever its state: clear it"):
        Followed.of("dbt_cloud_default", job="")

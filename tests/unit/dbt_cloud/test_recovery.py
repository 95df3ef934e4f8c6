from __future__ import annotations

import shlex

import pytest

from include.dbt_cloud.artifacts import command_of
from include.dbt_cloud.recovery import select_only, selector


@pytest.mark.parametrize(
    ("command", "rebuilt"),
    [
        ("dbt build", "dbt build --select a b"),
        ("dbt build -s tag:daily+ marts --full-refresh", "dbt build --full-refresh --select a b"),
        (
            "dbt run --select=marts --exclude x y --target prod",
            "dbt run --target prod --select a b",
        ),
        ("dbt --quiet test --selector nightly", "dbt --quiet test --select a b"),
        ("dbt source freshness", None),
        ("dbt docs generate", None),
        ("dbt", None),
    ],
)
def test_another_selection_keeps_all_other_options(command: str, rebuilt: str | None) -> None:
    assert select_only(command, ["a", "b"]) == rebuilt


def test_quotes_stay_what_they_were() -> None:
    words = ["dbt", "run", "--vars", '{"who": "it\'s; $(id)"}']

    rebuilt = select_only(shlex.join(words), ["a"])

    assert rebuilt
    assert shlex.split(rebuilt) == [*words, "--select", "a"]


@pytest.mark.parametrize(
    ("unique_id", "selected"),
    [
        ("model.jaffle_shop.orders", "orders"),
        ("model.jaffle_shop.orders.v2", "orders.v2"),
        ("test.jaffle_shop.not_null_orders_order_id.cf6c17daed", "not_null_orders_order_id"),
        ("unit_test.jaffle_shop.orders.test_totals", "unit_test:test_totals"),
        ("snapshot.jaffle_shop.prices", "prices"),
    ],
)
def test_a_node_is_selected_by_its_name(unique_id: str, selected: str) -> None:
    assert selector(unique_id) == selected


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("Invoke dbt with `dbt build --select a`", "dbt build --select a"),
        ("Invoke Dbt With `dbt run`", "dbt run"),
        ("Clone git repository", None),
    ],
)
def test_a_step_is_named_after_its_command(name: str, command: str | None) -> None:
    assert command_of({"name": name}) == command

from __future__ import annotations

import pytest

pytest.importorskip("hypothesis")  # not in the Astro image
from hypothesis import given
from hypothesis import strategies as st

from include.dbt_cloud.api.node_names import distinct_names, short_name

PARTS = st.text("ab.", max_size=3)
IDS = st.one_of(
    st.builds("{}.{}.{}".format, st.sampled_from(["model", "seed", "test"]), PARTS, PARTS), PARTS
)


@pytest.mark.parametrize(
    ("unique_id", "name"),
    [
        ("model.shop.orders", "orders"),
        ("model.shop.orders.v2", "orders.v2"),
        ("test.shop.not_null_orders_id.cf6c17daed", "not_null_orders_id"),
        ("test.shop.orders_add_up", "orders_add_up"),
        ("unit_test.shop.orders.adds_up", "orders.adds_up"),
        ("operation.shop.shop-on-run-start-0", "shop-on-run-start-0"),
        ("orders", "orders"),
        ("", ""),
    ],
)
def test_short_name_leaves_kind_package_and_hash_out(unique_id: str, name: str) -> None:
    assert short_name(unique_id) == name


def test_distinct_names_include_the_package_only_where_names_collide() -> None:
    ids = ["model.shop.orders", "seed.erp.orders", "model.erp.stores"]
    twins = ["test.shop.check.aaaaaaaaaa", "test.shop.check.bbbbbbbbbb"]

    assert distinct_names([*ids, *twins]) == {
        "model.shop.orders": "shop.orders",
        "seed.erp.orders": "erp.orders",
        "model.erp.stores": "stores",
        "test.shop.check.aaaaaaaaaa": "test.shop.check.aaaaaaaaaa",
        "test.shop.check.bbbbbbbbbb": "test.shop.check.bbbbbbbbbb",
    }


@given(st.lists(IDS))
def test_distinct_names_are_unique_for_any_ids(unique_ids: list[str]) -> None:
    names = distinct_names(unique_ids)

    assert list(names) == list(dict.fromkeys(unique_ids))
    assert len(set(names.values())) == len(names)

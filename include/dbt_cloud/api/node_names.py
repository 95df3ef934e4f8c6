"""Short names of dbt nodes, with the package where two share a name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable


def short_name(unique_id: str) -> str:
    """Return the name without kind and package, and without the hash that ends a test's id.

    >>> short_name("model.shop.orders.v2"), short_name("test.shop.not_null_orders_id.cf6c17daed")
    ('orders.v2', 'not_null_orders_id')
    """
    kind, _, rest = unique_id.partition(".")
    name = rest.partition(".")[2] or unique_id
    return (name.rpartition(".")[0] or name) if kind == "test" else name


def names_of(unique_id: str) -> list[str]:
    """Return a node's possible names, shortest first: ``orders``, ``shop.orders``, its id."""
    package = unique_id.split(".")[1:2]
    short = short_name(unique_id)
    return [short, ".".join([*package, short]), unique_id]


def distinct_names(unique_ids: Iterable[str]) -> dict[str, str]:
    """Return unique id → the shortest name that no other of these nodes has.

    >>> distinct_names(["model.shop.orders", "model.erp.orders", "model.erp.stores"]).values()
    dict_values(['shop.orders', 'erp.orders', 'stores'])
    """
    names = {one: names_of(one) for one in unique_ids}
    times = Counter(name for each in names.values() for name in set(each))
    return {
        one: next((name for name in each if times[name] == 1), one) for one, each in names.items()
    }

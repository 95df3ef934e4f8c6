"""The source files are what the script writes, and as untidy as its docstring says."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path

import duckdb
import pytest

from include.raw_data.generate import FOLDER, Row, generate, write

FILES = sorted(FOLDER.glob("*.csv*"))


@pytest.fixture(scope="module")
def tables() -> dict[str, Sequence[Row]]:
    return generate()


@pytest.fixture(scope="module")
def shop() -> duckdb.DuckDBPyConnection:
    """Open the committed files as views."""
    connection = duckdb.connect()
    for path in FILES:
        table = path.name.partition(".")[0]
        connection.execute(f"create view {table} as from read_csv('{path}')")
    return connection


def count(shop: duckdb.DuckDBPyConnection, query: str) -> int:
    row = shop.execute(f"select count(*) from ({query})").fetchone()
    assert row is not None
    return int(row[0])


def content(path: Path) -> bytes:
    """Return the file's unpacked bytes: packed ones differ between builds of zlib."""
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


def test_script_writes_the_committed_files(
    tables: dict[str, Sequence[Row]], tmp_path: Path
) -> None:
    written = {path.name: content(path) for path in write(tmp_path, tables)}
    assert written.keys() == {path.name for path in FILES}
    for path in FILES:
        assert written[path.name] == content(path), f"{path.name}: run include.raw_data.generate"


def test_gzip_files_contain_no_timestamp(tables: dict[str, Sequence[Row]], tmp_path: Path) -> None:
    packed = [path for path in write(tmp_path, tables) if path.suffix == ".gz"]
    assert len(packed) == 4
    for path in packed:
        assert path.read_bytes()[4:8] == bytes(4)  # the time in a gzip header, RFC 1952


def test_generate_returns_other_orders_for_another_seed(tables: dict[str, Sequence[Row]]) -> None:
    assert generate(seed=1)["orders"] != tables["orders"]


def test_committed_files_are_smaller_than_1_5_megabytes() -> None:
    assert sum(path.stat().st_size for path in FILES) < 1_500_000


@pytest.mark.parametrize(
    ("query", "at_least", "at_most"),
    [
        ("select distinct order_id from orders", 12_000, 20_000),
        ("select distinct customer_id from customers", 1_500, 1_500),
        ("from products", 10, 20),
        ("from stores", 6, 6),
    ],
)
def test_shop_tables_have_the_expected_sizes(
    shop: duckdb.DuckDBPyConnection, query: str, at_least: int, at_most: int
) -> None:
    assert at_least <= count(shop, query) <= at_most


@pytest.mark.parametrize(
    ("query", "at_least"),
    [
        ("from orders where received_at - ordered_at > interval 1 day", 300),
        ("from payments where received_at - paid_at > interval 1 day", 300),
        ("from customers where received_at - signed_up_at > interval 1 day", 20),
        ("select order_id from orders group by all having count(*) > 1", 300),
        ("select order_id, status from orders group by all having count(*) > 1", 100),
        ("select payment_id from payments group by all having count(*) > 1", 100),
        ("from payments where amount_cents < 0", 300),
        ("from payments where status = 'failed'", 300),
        ("from payments where payment_method is null", 100),
        ("from customers where email is null", 30),
        ("from stores where store_name is null", 1),
        ("from orders where status = 'cancelled'", 300),
        ("from orders anti join payments using (order_id)", 200),
    ],
)
def test_raw_data_contains_enough_defects_of_each_kind(
    shop: duckdb.DuckDBPyConnection, query: str, at_least: int
) -> None:
    assert count(shop, query) >= at_least


@pytest.mark.parametrize(
    ("later", "earlier", "key"),
    [
        ("orders", "customers", "customer_id"),
        ("orders", "stores", "store_id"),
        ("order_items", "orders", "order_id"),
        ("order_items", "products", "product_id"),
        ("payments", "orders", "order_id"),
    ],
)
def test_rows_never_arrive_before_the_rows_they_refer_to(
    shop: duckdb.DuckDBPyConnection, later: str, earlier: str, key: str
) -> None:
    """So that what was received by any moment can be loaded, built and tested."""
    known = f"select {key}, min(received_at) as known_at from {earlier} group by all"
    too_early = f"""
        from {later} left join ({known}) using ({key})
        where known_at is null or received_at < known_at
    """
    assert count(shop, too_early) == 0


@pytest.mark.parametrize("table", ["customers", "orders", "order_items", "payments"])
def test_files_hold_six_months(shop: duckdb.DuckDBPyConnection, table: str) -> None:
    received = f"select received_at at time zone 'utc' as received_at from {table}"
    outside = "received_at < '2026-04-01' or received_at >= '2026-10-01'"
    assert count(shop, f"from ({received}) where {outside}") == 0
    assert count(shop, f"select distinct month(received_at) from ({received})") == 6

"""The dbt project builds on the shop's data, and its tests notice data that is wrong."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
import yaml

from include.local_dbt_cloud.storage.profiles import LOCK_ATTEMPTS
from include.shop.ingest import load_raw_data
from tests.unit.warm_dbt import PROJECT, PYTHON, RunDbt, Statuses, warm_dbt

pytestmark = pytest.mark.skipif(not PYTHON.exists(), reason="needs dbt_venv, which `make` creates")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("jaffle_shop")


@pytest.fixture(scope="module")
def run_dbt(folder: Path) -> Iterator[RunDbt]:
    """Run a dbt command on the warehouse; return the status of each node by name."""
    with warm_dbt(folder / "warehouse.duckdb", folder / "target") as run:
        yield run


@pytest.fixture(scope="module")
def loaded(folder: Path) -> Path:
    """Create the raw data without any model, for the other fixtures to copy."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOCAL_DBT_CLOUD_DATA", str(folder / "loaded"))
        load_raw_data()
    return folder / "loaded" / "warehouse.duckdb"


@pytest.fixture
def warehouse(loaded: Path, folder: Path) -> Path:
    """Return dbt's warehouse, with fresh raw data."""
    return Path(shutil.copy(loaded, folder))


@pytest.fixture(scope="module")
def built(loaded: Path, folder: Path, run_dbt: RunDbt) -> tuple[Path, Statuses]:
    """Build a warehouse with every model, for others to copy; return it and dbt's result."""
    warehouse = shutil.copy(loaded, folder)
    statuses = run_dbt("build")
    return Path(shutil.copy(warehouse, folder / "built.duckdb")), statuses


@pytest.fixture
def marts(built: tuple[Path, Statuses]) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(built[0], read_only=True) as connection:
        connection.execute("use analytics")
        yield connection


def change(warehouse: Path, statement: str) -> None:
    with duckdb.connect(warehouse) as connection:
        connection.execute(statement)


def unsuccessful(statuses: Statuses) -> set[str]:
    return {name for name, status in statuses.items() if status not in ("success", "pass")}


def test_dbt_core_waits_for_the_warehouse_as_long_as_the_local_dbt_cloud() -> None:
    profile = yaml.safe_load((PROJECT / "profiles.yml").read_text())["jaffle_shop"]

    assert profile["outputs"]["production"]["retries"]["connect_attempts"] == LOCK_ATTEMPTS


def test_build_succeeds_for_all_models_and_tests(built: tuple[Path, Statuses]) -> None:
    _, statuses = built
    assert unsuccessful(statuses) == set()
    assert list(statuses.values()).count("success") == 12  # models
    assert list(statuses.values()).count("pass") == 13  # data tests and unit tests


def test_build_writes_nothing_into_the_project(built: tuple[Path, Statuses]) -> None:
    folders, files = {"macros", "models", "tests"}, {"nodes.jsonl", "profiles.yml"}
    names = folders | files | {"dbt_project.yml", "selectors.yml"}
    assert {path.name for path in PROJECT.iterdir()} == names


@pytest.mark.parametrize(
    ("statement", "failing"),
    [
        (
            "update raw.orders set total_cents = total_cents + 1 where order_id = 1000",
            "order_total_is_subtotal_plus_tax",
        ),
        (
            "insert into raw.payments select * replace (1000000 as payment_id) from raw.payments"
            " where order_id = 1000 and status = 'succeeded'",
            "payments_stay_within_the_order_total",
        ),
        (
            "insert into raw.payments select * replace (0 as order_id, 1000000 as payment_id)"
            " from raw.payments where order_id = 1000 and status = 'succeeded'",
            "revenue_is_payments_minus_refunds",
        ),
        (
            "delete from raw.customers where customer_id = 1",
            "relationships_orders_customer_id__customer_id__ref_stg_customers_",
        ),
        (
            "update raw.orders set status = 'lost' where order_id = 1000",
            "accepted_values_stg_orders_order_status__completed__returned__placed__cancelled",
        ),
        (
            "insert into raw.order_items from raw.order_items where order_item_id = 1000",
            "order_total_is_subtotal_plus_tax",
        ),
    ],
)
def test_build_fails_on_wrong_raw_data(
    warehouse: Path, run_dbt: RunDbt, statement: str, failing: str
) -> None:
    change(warehouse, statement)
    statuses = run_dbt("build")
    failed = {name for name, status in statuses.items() if status == "fail"}
    assert failed == {failing}
    assert statuses["customers"] == "skipped"


@pytest.mark.parametrize(
    ("statement", "failing"),
    [
        ("insert into orders from orders where order_id = 1000", "unique_orders_order_id"),
        ("insert into customers from customers limit 1", "unique_customers_customer_id"),
        (
            "insert into order_items from order_items limit 1",
            "unique_order_items_order_item_id",
        ),
        (
            "update customers set lifetime_spend = lifetime_spend + 1 where customer_id = 1",
            "lifetime_spend_adds_up_to_revenue",
        ),
        (
            "delete from daily_revenue where ordered_on = '2026-07-01'",
            "daily_revenue_adds_up_to_revenue",
        ),
    ],
)
def test_tests_fail_on_a_wrong_mart(
    built: tuple[Path, Statuses], warehouse: Path, run_dbt: RunDbt, statement: str, failing: str
) -> None:
    shutil.copy(built[0], warehouse)
    change(warehouse, f"use analytics; {statement}")
    assert run_dbt("test", "--select", failing) == {failing: "fail"}


@pytest.mark.usefixtures("warehouse")
@pytest.mark.parametrize("tag", ["hourly", "daily"])
def test_models_of_a_tag_run_on_raw_data_alone(warehouse: Path, run_dbt: RunDbt, tag: str) -> None:
    statuses = run_dbt("run", "--select", f"tag:{tag}")
    assert unsuccessful(statuses) == set()
    assert len(statuses) == {"hourly": 5, "daily": 12}[tag]


def test_build_succeeds_on_raw_data_received_before_june(warehouse: Path, run_dbt: RunDbt) -> None:
    for table in ("customers", "orders", "order_items", "payments", "products", "stores"):
        change(warehouse, f"delete from raw.{table} where received_at >= '2026-06-01 00:00:00Z'")
    assert unsuccessful(run_dbt("build")) == set()


def test_source_freshness_uses_the_log_of_loads(warehouse: Path, run_dbt: RunDbt) -> None:
    for table, hours in {"orders": 36, "payments": 72}.items():
        ago = f"loaded_at = now() - interval {hours} hours"
        change(warehouse, f"update raw.loads set {ago} where table_name = '{table}'")
    statuses = run_dbt("source", "freshness")
    assert statuses.pop("orders") == "warn"
    assert statuses.pop("payments") == "error"
    assert set(statuses.values()) == {"pass"}


def test_order_is_returned_if_and_only_if_money_was_refunded(
    marts: duckdb.DuckDBPyConnection,
) -> None:
    """A return delivers the order again, so an order is returned if money went back."""
    query = """
        select count(*) filter (where amount_refunded > 0) > 100,
            count(*) filter (where (amount_refunded > 0) != (order_status = 'returned'))
        from orders
        where ordered_at < '2026-09-01'  -- late refunds of later orders are not there yet
    """
    assert marts.execute(query).fetchone() == (True, 0)


def test_customers_have_a_target_only_after_120_days(marts: duckdb.DuckDBPyConnection) -> None:
    query = """
        select
            max(first_ordered_at) filter (where spend_next_60_days is not null)
                <= max(last_ordered_at) - interval 120 days,
            min(first_ordered_at) filter (where spend_next_60_days is null)
                > max(last_ordered_at) - interval 121 days
        from customers
    """
    assert marts.execute(query).fetchone() == (True, True)


def test_early_spend_predicts_later_spend(marts: duckdb.DuckDBPyConnection) -> None:
    from sklearn.linear_model import LinearRegression  # a second, in each of pytest's processes
    from sklearn.model_selection import cross_val_score

    query = """
        select
            spend_first_60_days, orders_first_60_days, average_basket_first_60_days,
            spend_next_60_days
        from customers
        where spend_next_60_days is not null
        order by hash(customer_id)
    """
    rows = [[float(value) for value in row] for row in marts.execute(query).fetchall()]
    features, target = [row[:3] for row in rows], [row[3] for row in rows]
    r_squared = cross_val_score(LinearRegression(), features, target, cv=5, scoring="r2")
    assert len(rows) > 500
    assert r_squared.mean() > 0.4  # 0 is what predicting the mean would reach

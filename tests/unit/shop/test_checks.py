"""Tests of the checks of the marts, and of their messages."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from include.shop.checks import CHECKS, run_checks
from include.shop.ingest import load_raw_data
from tests.unit.warm_dbt import PYTHON, warm_dbt


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a warehouse with raw data and every model."""
    if not PYTHON.exists():
        pytest.skip("needs dbt_venv, which `make` creates")
    folder = tmp_path_factory.mktemp("marts")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOCAL_DBT_CLOUD_DATA", str(folder))
        load_raw_data()
    with warm_dbt(folder / "warehouse.duckdb", folder / "target") as run_dbt:
        run_dbt("run")
    return folder / "warehouse.duckdb"


@pytest.fixture
def warehouse(built: Path, tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a copy that the test can damage."""
    with duckdb.connect(shutil.copy(built, tmp_path)) as connection:
        yield connection


def test_sound_marts_pass_every_check(warehouse: duckdb.DuckDBPyConnection) -> None:
    assert run_checks(warehouse) == dict.fromkeys(CHECKS, "passed")


@pytest.mark.parametrize(
    ("damage", "offending"),
    [
        ("delete from {customers} where customer_id = 7", "mart customers, id 7"),
        ("insert into {orders} select * replace (0 as order_id) from {one}", "is_invented True"),
        ("update {orders} set ordered_at = null where order_id = 9", "order_id 9, customer_id"),
        ("update {orders} set tax = -1 where order_id = 9", "order_id 9, subtotal"),
        ("update {orders} set revenue = revenue + 1 where order_id = 9", "order_id 9, revenue"),
    ],
)
def test_run_checks_names_the_failing_rows(
    warehouse: duckdb.DuckDBPyConnection, damage: str, offending: str
) -> None:
    one = "analytics.orders where order_id = 9"
    marts = {"customers": "analytics.customers", "orders": "analytics.orders", "one": one}
    warehouse.execute(damage.format(**marts))

    with pytest.raises(ValueError, match="checks failed") as failure:
        run_checks(warehouse)

    assert offending in str(failure.value)


def test_run_checks_counts_failing_rows_and_shows_some(
    warehouse: duckdb.DuckDBPyConnection,
) -> None:
    warehouse.execute("update analytics.orders set tax = -1 where order_id <= 25")

    with pytest.raises(ValueError, match=r"\(25 rows\)") as failure:
        run_checks(warehouse)

    assert "and 15 more" in str(failure.value)

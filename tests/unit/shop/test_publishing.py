"""Tests of the switch between versions: complete, atomic, repeatable, and never backwards."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any

import duckdb
import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from include.shop.publishing import choose_candidate, publish, roll_back, switch_views

Warehouse = duckdb.DuckDBPyConnection
MARTS = ("customers", "orders")
MANY = tuple(f"mart_{number:02}" for number in range(20))
FIRST_AND_LAST = f"""
    select distinct first.version, last.version
    from published.{MANY[0]} as first cross join published.{MANY[-1]} as last
"""
# Switches all views, and is killed before it commits.
KILLED = """
import os, sys, duckdb
from include.shop.publishing import switch_views
from include.shop.warehouse import transaction

with duckdb.connect(sys.argv[1]) as warehouse, transaction(warehouse):
    switch_views(warehouse, "version_2", ["customers", "orders"])
    print(warehouse.execute("from published.orders").fetchone(), flush=True)
    os.kill(os.getpid(), 9)
"""


@pytest.fixture
def warehouse(tmp_path: Path) -> Iterator[Warehouse]:
    with duckdb.connect(tmp_path / "warehouse.duckdb") as connection:
        yield connection


def build(warehouse: Warehouse, dag_run: str, *tables: str, **kinds: str) -> dict[str, Any]:
    """Build tables that contain the number of their version; return dbt's manifest of them."""
    schema = choose_candidate(warehouse, dag_run)
    warehouse.execute(f"create schema if not exists {schema}")
    number = schema.removeprefix("version_")
    for table in tables or MARTS:
        warehouse.execute(f"create or replace table {schema}.{table} as select {number} as version")
    kinds = dict.fromkeys(tables or MARTS, "table") | kinds
    return {
        "nodes": {
            name: {"schema": schema, "alias": name, "config": {"materialized": kind}}
            for name, kind in kinds.items()
        }
    }


def build_and_publish(warehouse: Warehouse, dag_run: str, *tables: str) -> dict[str, Any]:
    return publish(warehouse, dag_run, build(warehouse, dag_run, *tables))


def published(warehouse: Warehouse) -> dict[str, int]:
    """Return the version that each view of the consumers shows."""
    query = "select view_name from duckdb_views() where schema_name = 'published' order by 1"
    return {
        view: warehouse.execute(f"from published.{view}").fetchall()[0][0]
        for (view,) in warehouse.execute(query).fetchall()
    }


def contents(warehouse: Warehouse) -> list[Any]:
    """Return the log, and the names of all tables and views."""
    relations = "select table_schema, table_name from information_schema.tables order by all"
    log = warehouse.execute("from publishing.versions order by number").fetchall()
    return [log, warehouse.execute(relations).fetchall()]


def version_schemas(warehouse: Warehouse) -> list[str]:
    query = "select schema_name from information_schema.schemata where schema_name like 'version%'"
    return sorted(name for (name,) in warehouse.execute(query).fetchall())


def test_candidate_stays_the_same_until_it_is_published(warehouse: Warehouse) -> None:
    assert [choose_candidate(warehouse, "a") for _ in range(3)] == ["version_1"] * 3
    assert choose_candidate(warehouse, "b") == "version_2"

    build_and_publish(warehouse, "b")

    assert choose_candidate(warehouse, "b") == "version_3"


def test_candidate_is_rejected_after_a_newer_version_was_published(warehouse: Warehouse) -> None:
    manifest = build(warehouse, "a")
    build_and_publish(warehouse, "b")
    before = contents(warehouse)

    for use in (
        lambda: choose_candidate(warehouse, "a"),
        lambda: publish(warehouse, "a", manifest),
    ):
        with pytest.raises(AirflowFailException, match="version_1 is older than version_2, publi"):
            use()

    assert contents(warehouse) == before


def test_candidate_is_never_a_schema_of_others(warehouse: Warehouse) -> None:
    build_and_publish(warehouse, "a")
    warehouse.execute("create schema version_2")
    before = contents(warehouse)

    with pytest.raises(AirflowFailException, match=r"version_2 exists.+Rename or drop"):
        choose_candidate(warehouse, "b")

    assert contents(warehouse) == before


def test_publish_switches_all_views_and_keeps_one_previous_version(warehouse: Warehouse) -> None:
    assert build_and_publish(warehouse, "a") == {
        "published": "version_1",
        "replaced": None,
        "views": [*MARTS],
    }
    build(warehouse, "failed")
    build_and_publish(warehouse, "b")
    assert version_schemas(warehouse) == ["version_1", "version_3"]

    assert build_and_publish(warehouse, "c")["replaced"] == "version_3"

    assert published(warehouse) == dict.fromkeys(MARTS, 4)
    assert version_schemas(warehouse) == ["version_3", "version_4"]


def test_publish_keeps_the_candidate_of_a_newer_dag_run(warehouse: Warehouse) -> None:
    manifest = build(warehouse, "a")
    newer = build(warehouse, "b")

    publish(warehouse, "a", manifest)
    publish(warehouse, "b", newer)

    assert published(warehouse) == dict.fromkeys(MARTS, 2)


def test_repeated_publish_changes_nothing(warehouse: Warehouse) -> None:
    build_and_publish(warehouse, "a")
    manifest = build(warehouse, "b")
    first = publish(warehouse, "b", manifest)
    before = contents(warehouse)

    assert publish(warehouse, "b", manifest) == first

    assert contents(warehouse) == before


def test_publish_leaves_out_views_histories_and_tables_of_earlier_builds(
    warehouse: Warehouse,
) -> None:
    others = {"stg_orders": "view", "prices": "snapshot", "unique": "test", "days": "incremental"}
    manifest = build(warehouse, "a", *MARTS, **others)
    manifest["nodes"]["days"]["config"]["incremental_strategy"] = "microbatch"
    warehouse.execute("create table version_1.renamed_since as select 1 as version")

    publish(warehouse, "a", manifest)

    assert published(warehouse) == dict.fromkeys(MARTS, 1)


def test_publish_accepts_any_name_of_a_table(warehouse: Warehouse) -> None:
    manifest = build(warehouse, "a")
    warehouse.execute('create table version_1."Order by ""day""" as select 1 as version')
    node = manifest["nodes"]["orders"] | {"alias": 'Order by "day"'}

    publish(warehouse, "a", {"nodes": manifest["nodes"] | {"daily": node}})

    assert warehouse.execute('from published."Order by ""day"""').fetchall() == [(1,)]


def without_orders(warehouse: Warehouse) -> dict[str, Any]:
    manifest = build(warehouse, "b")
    warehouse.execute("drop table version_2.orders")
    return manifest


def empty(warehouse: Warehouse) -> dict[str, Any]:
    build(warehouse, "b")
    return {"nodes": {}}


def of_a_removed_model(warehouse: Warehouse) -> dict[str, Any]:
    return build(warehouse, "b", "customers")


def as_a_view(warehouse: Warehouse) -> dict[str, Any]:
    return build(warehouse, "b", "customers", orders="view")


def in_production(warehouse: Warehouse) -> dict[str, Any]:
    manifest = build(warehouse, "b")
    manifest["nodes"]["orders"]["schema"] = "analytics"
    return manifest


def of_an_earlier_build(warehouse: Warehouse) -> dict[str, Any]:
    build(warehouse, "b")
    return {"nodes": {"o": {"schema": "version_1", "alias": "orders", "config": TABLE}}}


def with_a_taken_name(warehouse: Warehouse) -> dict[str, Any]:
    warehouse.execute("create table published.stores as select 0 as version")
    return build(warehouse, "b", *MARTS, "stores")


def rolled_back(warehouse: Warehouse) -> dict[str, Any]:
    manifest = build(warehouse, "b")
    publish(warehouse, "b", manifest)
    roll_back(warehouse, "c")
    return manifest


TABLE = {"materialized": "table"}
REJECTED: dict[Callable[[Warehouse], dict[str, Any]], str] = {
    without_orders: "version_2 lacks orders: the views are unchanged.+without --select",
    empty: "version_2 lacks any table",
    of_a_removed_model: "no longer builds orders, which consumers can read.+drop these views",
    as_a_view: "no longer builds orders, which consumers can read",
    in_production: r"did not build these into version_2: analytics\.orders\..+generate_schema_name",
    of_an_earlier_build: r"did not build these into version_2: version_1\.orders\.",
    with_a_taken_name: "tables named stores.+Rename the tables",
    rolled_back: "version_2 was rolled back by the Dag run c: nothing was published",
}


@pytest.mark.parametrize("candidate", REJECTED, ids=lambda candidate: candidate.__name__)
def test_publish_rejects_candidate_and_changes_nothing(
    warehouse: Warehouse, candidate: Callable[[Warehouse], dict[str, Any]]
) -> None:
    build_and_publish(warehouse, "a")
    manifest = candidate(warehouse)
    before = contents(warehouse)

    with pytest.raises(AirflowFailException, match=REJECTED[candidate]):
        publish(warehouse, "b", manifest)

    assert contents(warehouse) == before
    assert published(warehouse).items() >= dict.fromkeys(MARTS, 1).items()


def test_publish_rejects_a_dag_run_without_a_candidate(warehouse: Warehouse) -> None:
    with pytest.raises(AirflowFailException, match="has built nothing"):
        publish(warehouse, "a", {"nodes": {}})


def test_dropped_view_allows_the_removal_of_its_model(warehouse: Warehouse) -> None:
    build_and_publish(warehouse, "a")
    manifest = build(warehouse, "b", "customers")
    warehouse.execute("drop view published.orders")

    publish(warehouse, "b", manifest)
    assert published(warehouse) == {"customers": 2}

    roll_back(warehouse, "c")
    assert published(warehouse) == {"customers": 1, "orders": 1}


def test_views_of_others_in_the_published_schema_stay(warehouse: Warehouse) -> None:
    build_and_publish(warehouse, "a")
    warehouse.execute("create view published.report as select 0 as version")

    build_and_publish(warehouse, "b")
    roll_back(warehouse, "c")

    assert published(warehouse) == {"customers": 1, "orders": 1, "report": 0}


def test_roll_back_restores_the_previous_version_once(warehouse: Warehouse) -> None:
    build_and_publish(warehouse, "a")
    build_and_publish(warehouse, "b", *MARTS, "stores")

    done = roll_back(warehouse, "c")
    assert done == {"published": "version_1", "replaced": "version_2", "views": [*MARTS]}
    assert published(warehouse) == dict.fromkeys(MARTS, 1)
    before = contents(warehouse)

    assert roll_back(warehouse, "c") == done  # a retry
    with pytest.raises(AirflowFailException, match="no previous version, version_1 is the only"):
        roll_back(warehouse, "d")
    assert contents(warehouse) == before


def test_roll_back_without_a_published_version_is_rejected(warehouse: Warehouse) -> None:
    with pytest.raises(AirflowFailException, match="no previous version, none is published"):
        roll_back(warehouse, "a")


def test_publish_after_a_roll_back_keeps_the_version_that_was_live(warehouse: Warehouse) -> None:
    for dag_run in ("a", "b"):
        build_and_publish(warehouse, dag_run)
    roll_back(warehouse, "c")

    assert build_and_publish(warehouse, "d")["replaced"] == "version_1"

    assert version_schemas(warehouse) == ["version_1", "version_3"]
    assert roll_back(warehouse, "e")["published"] == "version_1"
    assert published(warehouse) == dict.fromkeys(MARTS, 1)


def test_killed_switch_leaves_the_published_version(tmp_path: Path) -> None:
    file = tmp_path / "killed.duckdb"
    with duckdb.connect(file) as warehouse:
        build_and_publish(warehouse, "a")
        manifest = build(warehouse, "b")

    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(file)], capture_output=True, text=True, timeout=60
    )

    assert (killed.stdout, killed.returncode) == ("(2,)\n", -9)
    with duckdb.connect(file) as warehouse:
        assert published(warehouse) == dict.fromkeys(MARTS, 1)
        publish(warehouse, "b", manifest)
        assert published(warehouse) == dict.fromkeys(MARTS, 2)


class Reader:
    """Reads two of the views all the time, in one statement and in two of one transaction."""

    def __init__(self, warehouse: Warehouse) -> None:
        self.cursor = warehouse.cursor()
        self.seen: list[Any] = []
        self.is_stopped = Event()

    def read(self) -> None:
        while not self.is_stopped.is_set():
            try:
                self.seen.append(*self.cursor.execute(FIRST_AND_LAST).fetchall())
                self.cursor.begin()
                two = [self.cursor.table(f"published.{MANY[end]}").fetchall() for end in (0, -1)]
                self.cursor.commit()
                self.seen.append((two[0][0][0], two[1][0][0]))
            except duckdb.Error as error:
                self.seen.append(type(error))
                with suppress(duckdb.Error):  # outside a transaction
                    self.cursor.rollback()

    def wait_for(self, newest: Any) -> None:
        deadline = time.monotonic() + 30  # seconds
        while self.seen[-1:] != [newest]:
            assert time.monotonic() < deadline, set(self.seen)
            time.sleep(0.001)


@contextmanager
def reading(warehouse: Warehouse) -> Iterator[Reader]:
    reader = Reader(warehouse)
    thread = Thread(target=reader.read)
    thread.start()
    try:
        yield reader
    finally:
        reader.is_stopped.set()
        thread.join()


def test_reader_sees_no_missing_or_mixed_version_during_ten_publishes(
    warehouse: Warehouse,
) -> None:
    build_and_publish(warehouse, "run 0", *MANY)
    reads_during_a_publish = 0
    with reading(warehouse) as reader:
        reader.wait_for((1, 1))
        for number in range(1, 11):
            manifest = build(warehouse, f"run {number}", *MANY)
            before = len(reader.seen)
            publish(warehouse, f"run {number}", manifest)
            reads_during_a_publish += len(reader.seen) - before
            reader.wait_for((number + 1, number + 1))
        roll_back(warehouse, "back")
        reader.wait_for((10, 10))

    assert reads_during_a_publish > 10
    assert set(reader.seen) == {(number, number) for number in range(1, 12)}


def test_reader_detects_a_switch_that_is_no_transaction(warehouse: Warehouse) -> None:
    """Check that the reader above would find a mixed and a missing version."""
    build_and_publish(warehouse, "run 0", *MANY)
    build(warehouse, "run 1", *MANY)
    with reading(warehouse) as reader:
        switch_views(warehouse, "version_2", [MANY[0]])
        reader.wait_for((2, 1))
        warehouse.execute(f"drop view published.{MANY[-1]}")
        reader.wait_for(duckdb.CatalogException)

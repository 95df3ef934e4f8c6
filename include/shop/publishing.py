"""Switch the consumers' views to a new version of the marts, or back, in one transaction.

dbt builds each version into a schema of its own: ``version_1``, ``version_2``, and so on. Consumers
read the views in the schema ``published``. ``publishing.versions`` has a row per version.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import duckdb
from airflow.providers.common.compat.sdk import AirflowFailException

from include.shop.warehouse import transaction

# dbt's materializations to publish. A view would show raw rows that no test has read, and a
# snapshot keeps its history in a schema that no version replaces, as does a microbatch model.
STORED = ("table", "incremental", "seed")
CREATE_LOG = """
    create schema if not exists published;
    create schema if not exists publishing;
    create table if not exists publishing.versions (
        number integer primary key,
        dag_run varchar,
        tables varchar[] default [],
        published_at timestamptz,
        withdrawn_by varchar
    )
"""
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Version:
    """A row of ``publishing.versions``.

    Attributes:
        dag_run: The run id of the Dag run that chose it.
        tables: The published tables; empty before.
        withdrawn_by: The run id of the Dag run that rolled it back.
    """

    number: int
    dag_run: str
    tables: list[str]
    published_at: datetime | None
    withdrawn_by: str | None

    @property
    def schema(self) -> str:
        return f"version_{self.number}"


def choose_candidate(warehouse: duckdb.DuckDBPyConnection, dag_run: str) -> str:
    """Return the schema in which this Dag run builds: the same one until it is published.

    Raises:
        AirflowFailException: A newer version was published, or the schema is another's.
    """
    with transaction(warehouse):
        versions = read_versions(warehouse)
        own = newest_of(versions, dag_run)
        if own and not own.published_at:
            check_is_newest(own, versions)
            return own.schema
        number = versions[0].number + 1 if versions else 1
        candidate = Version(number, dag_run, [], None, None)
        if candidate.schema in schemas(warehouse):
            raise AirflowFailException(
                f"The schema {candidate.schema} exists, but publishing.versions does not list it: "
                "nothing was built. Rename or drop the schema, then clear this task."
            )
        row = (number, dag_run)
        warehouse.execute("insert into publishing.versions (number, dag_run) values (?, ?)", row)
        return candidate.schema


def publish(
    warehouse: duckdb.DuckDBPyConnection, dag_run: str, manifest: dict[str, Any]
) -> dict[str, Any]:
    """Switch the views to the candidate of this Dag run. A second call changes nothing.

    The replaced version stays for ``roll_back``. Older ones are dropped.

    Args:
        warehouse: A writable connection.
        dag_run: The run id of the Dag run.
        manifest: dbt's ``manifest.json`` of the run that built the candidate.

    Returns:
        The published and the replaced schema, and the views.

    Raises:
        AirflowFailException: The candidate is incomplete or outdated; the views are unchanged.
    """
    with transaction(warehouse):
        versions = read_versions(warehouse)
        current, previous, *_ = [*live(versions), None, None]
        candidate = newest_of(versions, dag_run)
        if candidate is None:
            raise AirflowFailException("This Dag run has built nothing: trigger a new one.")
        if candidate == current:
            log.info("%s is already published.", candidate.schema)
            return summary(candidate.schema, previous, candidate.tables)
        check_is_newest(candidate, versions)
        tables = stored_tables(manifest, candidate.schema)
        check_tables_exist(warehouse, candidate.schema, tables)
        check_views(warehouse, tables, current)
        switch_views(warehouse, candidate.schema, tables)
        warehouse.execute(
            "update publishing.versions set published_at = now(), tables = ? where number = ?",
            (tables, candidate.number),
        )
        for version in versions:
            if version.number < candidate.number and version != current:
                warehouse.execute(f"drop schema if exists {version.schema} cascade")
        return summary(candidate.schema, current, tables)


def roll_back(warehouse: duckdb.DuckDBPyConnection, dag_run: str) -> dict[str, Any]:
    """Switch the views to the previous version. A second call by the Dag run changes nothing.

    Returns:
        The published and the replaced schema, and the views.

    Raises:
        AirflowFailException: There is no previous version; the views are unchanged.
    """
    with transaction(warehouse):
        versions = read_versions(warehouse)
        current, previous, *_ = [*live(versions), None, None]
        for version in versions:
            if current and version.withdrawn_by == dag_run:
                log.info("This Dag run has already rolled back %s.", version.schema)
                return summary(current.schema, version, current.tables)
        if current is None or previous is None or previous.schema not in schemas(warehouse):
            only = f"{current.schema} is the only one" if current else "none is published"
            raise AirflowFailException(
                f"There is no previous version, {only}: trigger the Dag without roll_back to "
                "publish a new one."
            )
        check_tables_exist(warehouse, previous.schema, previous.tables)
        switch_views(warehouse, previous.schema, previous.tables)
        for table in set(current.tables) - set(previous.tables):
            warehouse.execute(f"drop view if exists published.{quoted(table)}")
        warehouse.execute(
            "update publishing.versions set withdrawn_by = ? where number = ?",
            (dag_run, current.number),
        )
        return summary(previous.schema, current, previous.tables)


def read_versions(warehouse: duckdb.DuckDBPyConnection) -> list[Version]:
    """Return all versions, newest first; create the log if it is missing."""
    warehouse.execute(CREATE_LOG)
    rows = warehouse.execute(
        "select number, dag_run, tables, published_at, withdrawn_by from publishing.versions"
        " order by number desc"
    )
    return [Version(*row) for row in rows.fetchall()]


def live(versions: list[Version]) -> list[Version]:
    """Return the published version, the previous one and their predecessors."""
    return [one for one in versions if one.published_at and not one.withdrawn_by]


def newest_of(versions: list[Version], dag_run: str) -> Version | None:
    return next((one for one in versions if one.dag_run == dag_run), None)


def check_is_newest(candidate: Version, versions: list[Version]) -> None:
    """Raise unless the candidate is newer than all published versions."""
    newest = next((one for one in versions if one.published_at), candidate)
    if newest.withdrawn_by and newest == candidate:
        reason = f"{newest.schema} was rolled back by the Dag run {newest.withdrawn_by}"
    elif newest.number > candidate.number:
        reason = f"{candidate.schema} is older than {newest.schema}, published by {newest.dag_run}"
    else:
        return
    raise AirflowFailException(f"{reason}: nothing was published. Trigger a new Dag run.")


def stored_tables(manifest: dict[str, Any], schema: str) -> list[str]:
    """Return the names of dbt's tables, which all must be in this schema."""
    nodes = manifest["nodes"].values()
    stored = [
        node
        for node in nodes
        if node["config"].get("materialized") in STORED
        and node["config"].get("incremental_strategy") != "microbatch"
    ]
    if outside := [node for node in stored if node["schema"] != schema]:
        raise AirflowFailException(
            f"dbt did not build these into {schema}: "
            + ", ".join(f"{node['schema']}.{node['alias']}" for node in outside)
            + ". Nothing was published. The macro generate_schema_name must return target.schema."
        )
    return sorted(node["alias"] for node in stored)


def check_tables_exist(
    warehouse: duckdb.DuckDBPyConnection, schema: str, tables: list[str]
) -> None:
    missing = set(tables) - relations(warehouse, schema, "BASE TABLE")
    if missing or not tables:
        raise AirflowFailException(
            f"{schema} lacks {listed(missing) or 'any table'}: the views are unchanged. The job "
            "must build all models: `dbt build` without --select and --exclude."
        )


def check_views(
    warehouse: duckdb.DuckDBPyConnection, tables: list[str], current: Version | None
) -> None:
    """Raise if a view of consumers would lose its table, or has its name taken."""
    views = relations(warehouse, "published", "VIEW")
    if lost := views & set(current.tables if current else []) - set(tables):
        raise AirflowFailException(
            f"The dbt project no longer builds {listed(lost)}, which consumers can read in the "
            "schema published: nothing was published. Restore the models and trigger a new Dag "
            "run, or drop these views and clear this task."
        )
    if taken := relations(warehouse, "published", "BASE TABLE") & set(tables):
        raise AirflowFailException(
            f"The schema published has tables named {listed(taken)}, where this Dag creates views: "
            "nothing was published. Rename the tables, then clear this task."
        )


def switch_views(warehouse: duckdb.DuckDBPyConnection, schema: str, tables: list[str]) -> None:
    for table in map(quoted, tables):
        warehouse.execute(f"create or replace view published.{table} as from {schema}.{table}")


def schemas(warehouse: duckdb.DuckDBPyConnection) -> set[str]:
    found = warehouse.execute("select schema_name from information_schema.schemata")
    return {name for (name,) in found.fetchall()}


def relations(warehouse: duckdb.DuckDBPyConnection, schema: str, kind: str) -> set[str]:
    query = "select table_name from information_schema.tables where (table_schema, table_type) = "
    return {name for (name,) in warehouse.execute(f"{query} (?, ?)", (schema, kind)).fetchall()}


def summary(published: str, replaced: Version | None, views: list[str]) -> dict[str, Any]:
    return {
        "published": published,
        "replaced": replaced.schema if replaced else None,
        "views": views,
    }


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))

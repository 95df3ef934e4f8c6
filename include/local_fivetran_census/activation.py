"""A Census sync: read a mart, and write to a file what Census would send."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import duckdb

from include.shop.warehouse import open_warehouse


@dataclass(frozen=True)
class Sync:
    """One sync: the columns of a mart to send, and the identifier, which must not be empty."""

    id: int
    label: str
    source: str
    identifier: str
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Sent:
    """Counts of the source records, and of those without an identifier."""

    records: int
    invalid: int


SYNCS = {
    51: Sync(
        51,
        "Customers to the newsletter",
        source="analytics.customers",
        identifier="email",
        columns=("customer_id", "customer_name", "email", "count_orders", "lifetime_spend"),
    )
}


def send(sync: Sync, file: Path) -> Sent:
    """Write each record that has an identifier as a line of JSON, replacing the file.

    Raises:
        LookupError: The mart does not exist; the message is for the user.
        TimeoutError: Another process held the warehouse.
    """
    records = _read(sync)
    valid = [record for record in records if record[sync.identifier]]
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_suffix(".new")
    with new.open("w", encoding="utf-8") as lines:
        for record in valid:
            lines.write(json.dumps({"operation": "upsert", "record_payload": record}) + "\n")
    new.replace(file)
    return Sent(len(records), len(records) - len(valid))


def _read(sync: Sync) -> list[dict[str, object]]:
    columns = ", ".join(sync.columns)
    with open_warehouse() as warehouse:
        try:
            found = warehouse.execute(f"select {columns} from {sync.source} order by 1").fetchall()
        except duckdb.CatalogException as error:
            raise LookupError(f"Table {sync.source} does not exist: run dbt first.") from error
    return [dict(zip(sync.columns, map(_plain, row), strict=True)) for row in found]


def _plain(value: object) -> object:
    """Return numbers and texts unchanged, other values as text, so that nothing is rounded."""
    return value if isinstance(value, (int, str, type(None))) else str(value)

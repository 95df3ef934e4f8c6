"""Write the shop's source files: ``python -m include.raw_data.generate [FOLDER]``.

The files are the same on every machine: they depend on one seed and on no clock. The faults in the
data are deliberate: late rows, rows delivered twice, failed and missing payments, cancelled orders,
refunds, blanks. The staging models of the dbt project correct them.
"""

from __future__ import annotations

import csv
import gzip
import io
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from random import Random

from include.raw_data.catalogue import CLOSING, PRODUCTS, STORES
from include.raw_data.customers import sign_up_shoppers, visits
from include.raw_data.orders import Ledger, place_order
from include.raw_data.rows import Customer, Order, OrderItem, Payment, Product, Store

SEED = 16173
FOLDER = Path(__file__).parent
COMPRESSED = ("customers", "orders", "order_items", "payments")

Row = Customer | Order | OrderItem | Payment | Product | Store


def generate(seed: int = SEED) -> dict[str, Sequence[Row]]:
    """Return the rows of every table that the shop's system received before closing."""
    rng = Random(seed)
    shoppers = sign_up_shoppers(rng)
    calendar = [(time, shopper) for shopper in shoppers for time in visits(rng, shopper)]
    ledger = Ledger()
    for ordered_at, shopper in sorted(calendar, key=lambda visit: visit[0]):
        place_order(rng, ledger, shopper, ordered_at)
    tables: Mapping[str, Sequence[Row]] = {
        "customers": [shopper.customer for shopper in shoppers],
        "orders": ledger.orders,
        "order_items": ledger.order_items,
        "payments": ledger.payments,
        "products": PRODUCTS,
        "stores": STORES,
    }
    return {
        name: sorted(
            (row for row in rows if row.received_at < CLOSING), key=lambda row: row.received_at
        )
        for name, rows in tables.items()
    }


def write(folder: Path, tables: Mapping[str, Sequence[Row]]) -> list[Path]:
    """Write one file per table into the folder and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    return [_write_table(folder, name, rows) for name, rows in tables.items()]


def _write_table(folder: Path, name: str, rows: Sequence[Row]) -> Path:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(rows[0]._fields)
    writer.writerows([_written(value) for value in row] for row in rows)
    content = text.getvalue().encode()
    if name not in COMPRESSED:
        path = folder / f"{name}.csv"
        path.write_bytes(content)
        return path
    path = folder / f"{name}.csv.gz"
    # Not gzip.compress(): its header differs from one Python to the next.
    with (
        path.open("wb") as file,
        gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed,
    ):
        packed.write(content)
    return path


def _written(value: object) -> object:
    return f"{value:%Y-%m-%dT%H:%M:%SZ}" if isinstance(value, datetime) else value


if __name__ == "__main__":
    for written in write(Path(sys.argv[1]) if sys.argv[1:] else FOLDER, generate()):
        print(f"{written.name}: {written.stat().st_size / 1000:.0f} kB")

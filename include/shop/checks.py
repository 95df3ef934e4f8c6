"""Check the marts against the sources and for consistency.

A check is a query for invalid rows, and passes if it returns none.
"""

from __future__ import annotations

import duckdb

SHOWN = 10  # invalid rows per check

CHECKS = {
    "orders and customers of the marts are exactly those of the sources": """
        select 'orders' as mart, order_id as id, source.order_id is null as is_invented
        from (select distinct order_id from raw.orders) as source
        full join analytics.orders as mart using (order_id)
        where source.order_id is null or mart.order_id is null
        union all
        select 'customers', customer_id, source.customer_id is null
        from (select distinct customer_id from raw.customers) as source
        full join analytics.customers as mart using (customer_id)
        where source.customer_id is null or mart.customer_id is null
    """,
    "no order lacks its customer, time or total": """
        select order_id, customer_id, ordered_at, order_total from analytics.orders
        where customer_id is null or ordered_at is null or order_total is null
    """,
    "amounts are in range": """
        select order_id, subtotal, tax, order_total, amount_paid, amount_refunded
        from analytics.orders
        where order_total < 0 or tax < 0 or tax > order_total or amount_refunded > amount_paid
    """,
    "revenue equals the payments of the source": """
        with newest_delivery as (
            select * from raw.payments
            qualify row_number() over (partition by payment_id order by received_at desc) = 1
        ),
        paid as (
            select order_id, sum(amount_cents) / 100 as paid from newest_delivery
            where status = 'succeeded' group by order_id
        )
        select order_id, revenue, coalesce(paid, 0) as paid
        from analytics.orders left join paid using (order_id)
        where abs(revenue - coalesce(paid, 0)) >= 0.01
    """,
}


def run_checks(warehouse: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Run all checks and return ``{check: "passed"}``.

    Raises:
        ValueError: Some failed; with their names and invalid rows.
    """
    failed = []
    for name, query in CHECKS.items():
        rows = warehouse.execute(query)
        columns = [column[0] for column in rows.description or []]
        if invalid := rows.fetchall():
            failed.append(failed_check_message(name, columns, invalid))
    if failed:
        raise ValueError(f"{len(failed)} of {len(CHECKS)} checks failed.\n" + "\n".join(failed))
    return dict.fromkeys(CHECKS, "passed")


def failed_check_message(name: str, columns: list[str], invalid: list[tuple[object, ...]]) -> str:
    lines = [f"Check failed: {name} ({len(invalid)} rows):"]
    for row in invalid[:SHOWN]:
        values = (f"{column} {value}" for column, value in zip(columns, row, strict=True))
        lines.append("  " + ", ".join(values))
    if len(invalid) > SHOWN:
        lines.append(f"  and {len(invalid) - SHOWN} more")
    return "\n".join(lines)

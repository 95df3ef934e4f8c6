"""Are the marts right? Each check compares them with the sources or with themselves.

A check is a query for offending rows, and passes if there are none.
"""

from __future__ import annotations

import duckdb

SHOWN = 10  # offending rows per check

CHECKS = {
    "every order and every customer of the sources is in its mart, and no other": """
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
    "revenue is what the payments of the source come to": """
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
    """Run all checks; returns ``{check: "passed"}``.

    Raises:
        ValueError: some failed; with their names and offending rows.
    """
    failed = []
    for name, query in CHECKS.items():
        rows = warehouse.execute(query)
        columns = [column[0] for column in rows.description or []]
        if offending := rows.fetchall():
            failed.append(report(name, columns, offending))
    if failed:
        raise ValueError(f"{len(failed)} of {len(CHECKS)} checks failed.\n" + "\n".join(failed))
    return dict.fromkeys(CHECKS, "passed")


def report(name: str, columns: list[str], offending: list[tuple[object, ...]]) -> str:
    lines = [f"Not so: {name}. {len(offending)} rows offend:"]
    for row in offending[:SHOWN]:
        values = (f"{column} {value}" for column, value in zip(columns, row, strict=True))
        lines.append("  " + ", ".join(values))
    if len(offending) > SHOWN:
        lines.append(f"  and {len(offending) - SHOWN} more")
    return "\n".join(lines)

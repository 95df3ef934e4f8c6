"""Orders, payments and returns, and when the shop's system receives them.

Rows arrive late and more than once, but never before the rows that they refer to: an order after
its customer, its items with it, its payments after it. So the rows received up to any moment are
consistent.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from random import Random

from include.raw_data.catalogue import POPULARITY, PRODUCTS, STORES
from include.raw_data.customers import Shopper
from include.raw_data.rows import Order, OrderItem, Payment, Store

PAYMENT_METHODS = {"credit_card": 60, "cash": 20, "gift_card": 12, "bank_transfer": 8}


@dataclass
class Ledger:
    """Every delivery of orders, items and payments so far, with the next id of each."""

    orders: list[Order] = field(default_factory=list)
    order_items: list[OrderItem] = field(default_factory=list)
    payments: list[Payment] = field(default_factory=list)
    order_ids: count[int] = field(default_factory=lambda: count(1))
    order_item_ids: count[int] = field(default_factory=lambda: count(1))
    payment_ids: count[int] = field(default_factory=lambda: count(1))


def place_order(rng: Random, ledger: Ledger, shopper: Shopper, ordered_at: datetime) -> None:
    """Add one order of the shopper to the ledger, with its items and payments."""
    store = _store(rng, shopper, ordered_at)
    status = rng.choices(("completed", "cancelled", "placed"), (955, 30, 15))[0]
    arrived_at = max(_arrival(rng, ordered_at, late=0.03), shopper.customer.received_at)
    order_id = next(ledger.order_ids)
    items = _fill_basket(rng, ledger, order_id, shopper.appetite, arrived_at)
    subtotal_cents = sum(item.quantity * item.unit_price_cents for item in items)
    tax_cents = round(subtotal_cents * float(store.tax_rate))
    order = Order(
        order_id,
        shopper.customer.customer_id,
        store.store_id,
        ordered_at,
        status,
        tax_cents,
        subtotal_cents + tax_cents,
        arrived_at,
    )
    ledger.order_items.extend(items)
    _deliver_order(rng, ledger, order)
    if status == "completed":
        _pay(rng, ledger, order)
    elif status == "cancelled" and rng.random() < 0.5:
        _deliver_payment(rng, ledger, order, "credit_card", "failed", order.total_cents, ordered_at)


def _store(rng: Random, shopper: Shopper, ordered_at: datetime) -> Store:
    if rng.random() < 0.8:
        return shopper.home_store
    return rng.choice([store for store in STORES if store.opened_on <= ordered_at.date()])


def _fill_basket(
    rng: Random, ledger: Ledger, order_id: int, appetite: float, arrived_at: datetime
) -> list[OrderItem]:
    lines = 1
    while lines < 5 and rng.random() < appetite:
        lines += 1
    basket = dict.fromkeys(rng.choices(PRODUCTS, POPULARITY, k=lines))
    return [
        OrderItem(
            next(ledger.order_item_ids),
            order_id,
            product.product_id,
            rng.choices((1, 2, 3), (85, 12, 3))[0],
            product.price_cents,
            arrived_at,
        )
        for product in basket
    ]


def _pay(rng: Random, ledger: Ledger, order: Order) -> None:
    """Pay a completed order in full, sometimes after a failed attempt; some are returned."""
    method = rng.choices(list(PAYMENT_METHODS), list(PAYMENT_METHODS.values()))[0]
    paid_at = order.ordered_at + timedelta(seconds=rng.randint(5, 240))
    if method == "bank_transfer":
        paid_at += timedelta(hours=rng.randint(6, 72))
    if method == "credit_card" and rng.random() < 0.04:
        _deliver_payment(rng, ledger, order, method, "failed", order.total_cents, paid_at)
        paid_at += timedelta(seconds=rng.randint(20, 300))
    written_method = "" if rng.random() < 0.01 else method
    _deliver_payment(rng, ledger, order, written_method, "succeeded", order.total_cents, paid_at)
    if rng.random() < 0.035:
        _return(rng, ledger, order, method, paid_at)


def _return(rng: Random, ledger: Ledger, order: Order, method: str, paid_at: datetime) -> None:
    """Refund an order or, one time in three, part of it; the order is delivered again."""
    share = 1.0 if rng.random() < 0.67 else rng.uniform(0.2, 0.8)
    refund_cents = -round(order.total_cents * share)
    refunded_at = paid_at + timedelta(seconds=rng.randint(86_400, 10 * 86_400))
    _deliver_payment(rng, ledger, order, method, "succeeded", refund_cents, refunded_at)
    returned_at = max(_arrival(rng, refunded_at), order.received_at + timedelta(hours=3))
    _deliver_order(rng, ledger, order._replace(status="returned", received_at=returned_at))


def _deliver_order(rng: Random, ledger: Ledger, order: Order) -> None:
    ledger.orders.append(order)
    if rng.random() < 0.012:  # resent within the hour, so never after the order's return
        resent_at = order.received_at + timedelta(seconds=rng.randint(30, 3_600))
        ledger.orders.append(order._replace(received_at=resent_at))


def _deliver_payment(
    rng: Random,
    ledger: Ledger,
    order: Order,
    method: str,
    status: str,
    amount_cents: int,
    paid_at: datetime,
) -> None:
    payment = Payment(
        next(ledger.payment_ids),
        order.order_id,
        method,
        status,
        amount_cents,
        paid_at,
        max(_arrival(rng, paid_at, late=0.02), order.received_at),
    )
    ledger.payments.append(payment)
    if rng.random() < 0.015:
        resent_at = payment.received_at + timedelta(seconds=rng.randint(30, 2 * 86_400))
        ledger.payments.append(payment._replace(received_at=resent_at))


def _arrival(rng: Random, happened_at: datetime, late: float = 0.0) -> datetime:
    """Return when a row arrives: within 90 s or, with the chance ``late``, in 1 to 5 days."""
    days = rng.randint(1, 5) if rng.random() < late else 0
    return happened_at + timedelta(days=days, seconds=rng.randint(1, 90))

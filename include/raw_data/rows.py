"""The rows of the shop's source files: one class per file, one field per column, in file order."""

from __future__ import annotations

from datetime import date, datetime
from typing import NamedTuple


class Customer(NamedTuple):
    """A person who signed up; some left no e-mail address."""

    customer_id: int
    first_name: str
    last_name: str
    email: str
    signed_up_at: datetime
    received_at: datetime


class Product(NamedTuple):
    """A product on the menu."""

    product_id: int
    product_name: str
    product_type: str
    price_cents: int
    received_at: datetime


class Store(NamedTuple):
    """A shop; the name may be missing. The tax rate is a share: 0.0625 is 6.25 %."""

    store_id: int
    store_name: str
    opened_on: date
    tax_rate: str
    received_at: datetime


class Order(NamedTuple):
    """One delivery of an order; a return, or a resent message, delivers the order again."""

    order_id: int
    customer_id: int
    store_id: int
    ordered_at: datetime
    status: str
    tax_cents: int
    total_cents: int
    received_at: datetime


class OrderItem(NamedTuple):
    """One line of an order, with the price on that day, before tax."""

    order_item_id: int
    order_id: int
    product_id: int
    quantity: int
    unit_price_cents: int
    received_at: datetime


class Payment(NamedTuple):
    """One delivery of a payment attempt; a refund is a payment with a negative amount."""

    payment_id: int
    order_id: int
    payment_method: str
    status: str
    amount_cents: int
    paid_at: datetime
    received_at: datetime

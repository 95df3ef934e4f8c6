"""The customers, and the times of their visits."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

from include.raw_data.catalogue import (
    BUSYNESS,
    CLOSING,
    FIRST_NAMES,
    LAST_NAMES,
    OPENING,
    STORES,
)
from include.raw_data.rows import Customer, Store

CUSTOMERS = 1_500
ORDERS_PER_DAY = 0.1  # of an average customer; a few come daily, many once a month
DAYS_UNTIL_LAPSE = 300  # on average, from sign-up to the last visit


@dataclass(frozen=True)
class Shopper:
    """A customer with hidden habits, which make early orders predict later ones."""

    customer: Customer
    orders_per_day: float
    appetite: float  # chance of one more line in the basket
    home_store: Store
    lapses_at: datetime


def sign_up_shoppers(rng: Random) -> list[Shopper]:
    """Return every shopper by time of sign-up: many in the first weeks, fewer later."""
    days = (CLOSING - OPENING) / timedelta(days=1)
    sign_ups = sorted(int(days * rng.random() ** 1.8) for _ in range(CUSTOMERS))
    return [
        _shopper(rng, customer_id, OPENING + timedelta(days=day, hours=rng.uniform(6, 7)))
        for customer_id, day in enumerate(sign_ups, start=1)
    ]


def visits(rng: Random, shopper: Shopper) -> list[datetime]:
    """Return the times of the shopper's orders: usually the day of sign-up, then by habit."""
    if rng.random() < 0.04:  # signed up, never ordered
        return []
    first_day = shopper.customer.signed_up_at.replace(hour=0, minute=0, second=0)
    times = []
    for day in range((CLOSING - first_day).days):
        midnight = first_day + timedelta(days=day)
        chance = shopper.orders_per_day * BUSYNESS[midnight.weekday()]
        if day == 0:
            chance = max(chance, 0.85)
        if midnight < shopper.lapses_at and rng.random() < chance:
            times.append(midnight + timedelta(seconds=int(rng.triangular(7, 21, 12.5) * 3600)))
    return times


def _shopper(rng: Random, customer_id: int, signed_up_at: datetime) -> Shopper:
    signed_up_at = signed_up_at.replace(microsecond=0)
    open_stores = [store for store in STORES if store.opened_on <= signed_up_at.date()]
    return Shopper(
        customer=_customer(rng, customer_id, signed_up_at),
        orders_per_day=rng.gammavariate(1.1, ORDERS_PER_DAY / 1.1),
        appetite=rng.uniform(0.05, 0.75),
        home_store=rng.choice(open_stores),
        lapses_at=signed_up_at + timedelta(days=1 + rng.expovariate(1 / DAYS_UNTIL_LAPSE)),
    )


def _customer(rng: Random, customer_id: int, signed_up_at: datetime) -> Customer:
    first_name, last_name = rng.choice(FIRST_NAMES), rng.choice(LAST_NAMES)
    email = f"{first_name}.{last_name}{customer_id}@example.com".lower()
    if rng.random() < 0.04:
        email = ""
    late = timedelta(days=rng.randint(1, 5)) if rng.random() < 0.02 else timedelta()
    received_at = signed_up_at + timedelta(seconds=rng.randint(1, 60)) + late
    return Customer(customer_id, first_name, last_name, email, signed_up_at, received_at)

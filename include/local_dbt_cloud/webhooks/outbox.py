"""Pending deliveries, and the effect of each attempt."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from ..times import now
from .tables import AttemptRow, DeliveryRow, SubscriptionRow

MAX_FAILED_ATTEMPTS = 5  # in a row; then dbt Cloud deactivates a webhook
LOG_DAYS = 30


@dataclass(frozen=True)
class PendingDelivery:
    """A delivery in the form that the sender needs, without a session."""

    number: int
    subscription_number: int
    url: str
    secret: str
    body: bytes


@dataclass(frozen=True)
class Attempt:
    """One attempt; ``error`` is the reason if there is no ``status_code``."""

    began_at: datetime
    status_code: int | None = None
    error: str | None = None

    @property
    def succeeded(self) -> bool:
        return self.status_code is not None and 200 <= self.status_code < 300


def due_deliveries(session: Session, busy: Collection[int]) -> list[PendingDelivery]:
    """Return the oldest due delivery of every subscription that is not ``busy``."""
    oldest = (
        select(func.min(DeliveryRow.number))
        .where(DeliveryRow.next_attempt_at <= now(), DeliveryRow.subscription_number.not_in(busy))
        .group_by(DeliveryRow.subscription_number)
    )
    rows = session.scalars(select(DeliveryRow).where(DeliveryRow.number.in_(oldest)))
    return [pending_delivery(row) for row in rows]


def pending_delivery(row: DeliveryRow) -> PendingDelivery:
    receiver = row.subscription
    url, secret = receiver.client_url, receiver.hmac_secret
    return PendingDelivery(row.number, receiver.number, url, secret, row.body.encode())


def next_due(session: Session, busy: Collection[int]) -> datetime | None:
    """Return the due time of the next delivery to a subscription that is not busy."""
    return session.scalar(
        select(func.min(DeliveryRow.next_attempt_at)).where(
            DeliveryRow.subscription_number.not_in(busy)
        )
    )


def record_attempt(
    session: Session, number: int, attempt: Attempt, waits: Sequence[float] = ()
) -> None:
    """Log an attempt and decide what follows: nothing, a retry, or deactivation.

    ``waits`` are the seconds before the second attempt, the third, and so on.
    """
    delivery = session.get(DeliveryRow, number)
    if delivery is None:  # the subscription was deleted in the meantime
        return
    delivery.attempts.append(
        AttemptRow(
            attempted_at=attempt.began_at,
            http_status_code=attempt.status_code,
            error=attempt.error,
        )
    )
    subscription = delivery.subscription
    subscription.dispatched_at = attempt.began_at
    subscription.http_status_code = attempt.status_code or 0
    if attempt.succeeded:
        subscription.failed_attempts = 0
        delivery.delivered_at, delivery.next_attempt_at = now(), None
        return
    subscription.failed_attempts += 1
    tries = len(delivery.attempts)
    again = delivery.next_attempt_at is not None and tries <= len(waits)
    delivery.next_attempt_at = now() + timedelta(seconds=waits[tries - 1]) if again else None
    if subscription.failed_attempts >= MAX_FAILED_ATTEMPTS:
        deactivate(session, subscription)


def deactivate(session: Session, subscription: SubscriptionRow) -> None:
    """Deactivate a subscription and drop its pending deliveries."""
    subscription.active = False
    session.flush()
    session.execute(
        update(DeliveryRow)
        .where(DeliveryRow.subscription_number == subscription.number)
        .values(next_attempt_at=None)
    )


def delete_old_deliveries(session: Session) -> None:
    """Delete the log of deliveries older than 30 days, as dbt Cloud does."""
    old = select(DeliveryRow.number).where(
        DeliveryRow.created_at < now() - timedelta(days=LOG_DAYS),
        DeliveryRow.next_attempt_at.is_(None),
    )
    session.execute(delete(AttemptRow).where(AttemptRow.delivery_number.in_(old)))
    session.execute(delete(DeliveryRow).where(DeliveryRow.number.in_(old)))

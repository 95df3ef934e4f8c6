"""What is to be sent next, and what becomes of it after a try."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from include.local_dbt_cloud.times import now
from include.local_dbt_cloud.webhooks.tables import AttemptRow, DeliveryRow, SubscriptionRow

MAX_FAILED_ATTEMPTS = 5  # in a row; then dbt Cloud deactivates a webhook
LOG_DAYS = 30


@dataclass(frozen=True)
class Letter:
    """A delivery as the sender needs it, free of any session."""

    number: int
    subscription_number: int
    url: str
    secret: str
    body: bytes


@dataclass(frozen=True)
class Attempt:
    """One try; ``error`` says why there is no ``status_code``."""

    began_at: datetime
    status_code: int | None = None
    error: str | None = None

    @property
    def succeeded(self) -> bool:
        return self.status_code is not None and 200 <= self.status_code < 300


def due_letters(session: Session, busy: Collection[int]) -> list[Letter]:
    """The oldest due delivery of every subscription that is not ``busy`` with another one."""
    oldest = (
        select(func.min(DeliveryRow.number))
        .where(DeliveryRow.next_attempt_at <= now(), DeliveryRow.subscription_number.not_in(busy))
        .group_by(DeliveryRow.subscription_number)
    )
    rows = session.scalars(select(DeliveryRow).where(DeliveryRow.number.in_(oldest)))
    return [letter_of(row) for row in rows]


def letter_of(row: DeliveryRow) -> Letter:
    to = row.subscription
    return Letter(row.number, to.number, to.client_url, to.hmac_secret, row.body.encode())


def next_due(session: Session, busy: Collection[int]) -> datetime | None:
    """When the next delivery of a subscription that is not busy is due."""
    return session.scalar(
        select(func.min(DeliveryRow.next_attempt_at)).where(
            DeliveryRow.subscription_number.not_in(busy)
        )
    )


def record_attempt(
    session: Session, number: int, attempt: Attempt, waits: Sequence[float] = ()
) -> None:
    """Logs a try and decides what follows: nothing, another one, or the end of the webhook.

    ``waits`` are the seconds before the second try, the third, and so on.
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
    """Nothing more is sent, also not what is still in the outbox."""
    subscription.active = False
    session.flush()
    session.execute(
        update(DeliveryRow)
        .where(DeliveryRow.subscription_number == subscription.number)
        .values(next_attempt_at=None)
    )


def forget_old(session: Session) -> None:
    """dbt Cloud keeps the log of deliveries for 30 days."""
    old = select(DeliveryRow.number).where(
        DeliveryRow.created_at < now() - timedelta(days=LOG_DAYS),
        DeliveryRow.next_attempt_at.is_(None),
    )
    session.execute(delete(AttemptRow).where(AttemptRow.delivery_number.in_(old)))
    session.execute(delete(DeliveryRow).where(DeliveryRow.number.in_(old)))

"""The webhook tables: subscriptions, the outbox, and the log of attempts."""

from __future__ import annotations

import secrets
from datetime import datetime

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column, relationship

from ..storage.tables import BigId, Row
from ..times import now

OWNED = "all, delete-orphan"


def new_id(prefix: str) -> str:
    """Return ``wsu_`` for a subscription or ``wev_`` for an event, with 27 characters."""
    return f"{prefix}_{secrets.token_urlsafe(32).replace('-', 'a').replace('_', 'b')[:27]}"


class SubscriptionRow(Row):
    """A receiver of events. ``failed_attempts`` counts those since the last success."""

    __tablename__ = "webhook_subscriptions"

    number: Mapped[int] = mapped_column(BigId, primary_key=True)
    id: Mapped[str] = mapped_column(unique=True, default=lambda: new_id("wsu"))
    account_id: Mapped[int] = mapped_column(BigId)
    name: Mapped[str]
    description: Mapped[str]
    client_url: Mapped[str]
    hmac_secret: Mapped[str] = mapped_column(default=lambda: secrets.token_hex(32))
    event_types: Mapped[list[str]]
    job_ids: Mapped[list[str]]
    active: Mapped[bool]
    failed_attempts: Mapped[int] = mapped_column(default=0)
    http_status_code: Mapped[int] = mapped_column(default=0)
    dispatched_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=now)
    updated_at: Mapped[datetime] = mapped_column(default=now)
    deliveries: Mapped[list[DeliveryRow]] = relationship(
        back_populates="subscription", cascade=OWNED, order_by="DeliveryRow.number"
    )

    def includes(self, event_type: str, job_id: int) -> bool:
        """Return whether it receives the event; an empty list of jobs means all jobs."""
        return event_type in self.event_types and (not self.job_ids or str(job_id) in self.job_ids)


class DeliveryRow(Row):
    """One event for one subscription; an outbox entry while ``next_attempt_at`` is set.

    ``body`` is the exact text that is signed and sent, the same at every attempt.
    """

    __tablename__ = "webhook_deliveries"
    __table_args__ = (Index("webhook_outbox", "next_attempt_at"),)

    number: Mapped[int] = mapped_column(BigId, primary_key=True)
    id: Mapped[str] = mapped_column(unique=True)
    subscription_number: Mapped[int] = mapped_column(
        BigId, ForeignKey(SubscriptionRow.number), index=True
    )
    event_type: Mapped[str]
    body: Mapped[str]
    next_attempt_at: Mapped[datetime | None] = mapped_column(default=now)
    delivered_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=now)
    subscription: Mapped[SubscriptionRow] = relationship(back_populates="deliveries")
    attempts: Mapped[list[AttemptRow]] = relationship(cascade=OWNED, order_by="AttemptRow.number")

    @property
    def status(self) -> str:
        if self.delivered_at:
            return "delivered"
        return "pending" if self.next_attempt_at else "failed"


class AttemptRow(Row):
    """One attempt: the receiver's status code, or the error."""

    __tablename__ = "webhook_attempts"

    number: Mapped[int] = mapped_column(BigId, primary_key=True)
    delivery_number: Mapped[int] = mapped_column(BigId, ForeignKey(DeliveryRow.number), index=True)
    attempted_at: Mapped[datetime]
    http_status_code: Mapped[int | None]
    error: Mapped[str | None]

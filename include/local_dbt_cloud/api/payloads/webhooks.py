"""Webhook subscriptions and deliveries: ids and times are text (CONTRACT.md, section 3.10)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from ...webhooks.tables import AttemptRow, DeliveryRow, SubscriptionRow


def subscription_payload(row: SubscriptionRow, with_secret: bool = False) -> dict[str, Any]:
    """Return a subscription; only the response that creates it includes the secret."""
    payload: dict[str, Any] = {
        "id": row.id,
        "account_identifier": f"act_{row.account_id}",
        "name": row.name,
        "description": row.description,
        "job_ids": row.job_ids,
        "event_types": row.event_types,
        "client_url": row.client_url,
        "active": row.active,
        "created_at": microseconds(row.created_at),
        "updated_at": microseconds(row.updated_at),
        "account_id": str(row.account_id),
        "http_status_code": str(row.http_status_code),
    }
    if row.dispatched_at:
        payload["dispatched_at"] = microseconds(row.dispatched_at)
    if with_secret:
        payload["hmac_secret"] = row.hmac_secret
    return payload


def event_payload(row: DeliveryRow) -> dict[str, Any]:
    """Return one entry of the delivery log; dbt Cloud does not document its format."""
    last = row.attempts[-1] if row.attempts else None
    return {
        "id": row.id,
        "subscription_id": row.subscription.id,
        "event_type": row.event_type,
        "status": row.status,
        "attempts": len(row.attempts),
        "http_status_code": _status_code(last),
        "created_at": microseconds(row.created_at),
        "delivered_at": microseconds(row.delivered_at),
        "next_attempt_at": microseconds(row.next_attempt_at),
    }


def receipt_payload(row: DeliveryRow) -> dict[str, Any]:
    """Return the log entry with every attempt and the request body."""
    tries = [
        {
            "attempted_at": microseconds(attempt.attempted_at),
            "http_status_code": _status_code(attempt),
            "error": attempt.error,
        }
        for attempt in row.attempts
    ]
    return {**event_payload(row), "request_body": row.body, "receipts": tries}


def microseconds(moment: datetime | None) -> str | None:
    """Return microseconds since 1970 as text, such as ``1675795644808877``."""
    return f"{moment.timestamp() * 1_000_000:.0f}" if moment else None


def _status_code(attempt: AttemptRow | None) -> str:
    return str(attempt.http_status_code or 0) if attempt else "0"

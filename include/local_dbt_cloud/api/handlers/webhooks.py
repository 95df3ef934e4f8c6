"""Webhook subscriptions: list, create, get, replace, delete, test, and the delivery log."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from fastapi.responses import JSONResponse
from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from ...times import now
from ...webhooks.events import delivery_of
from ...webhooks.outbox import deactivate, pending_delivery, record_attempt
from ...webhooks.sender import post_once
from ...webhooks.tables import DeliveryRow, SubscriptionRow
from ..dependencies import ApiCall, Call
from ..errors import NotFoundError
from ..payloads.webhooks import (
    event_payload,
    receipt_payload,
    subscription_payload,
)
from ..query import Listing, ListQuery, page_of
from ..request_body import Body
from ..request_schemas import SubscriptionRequest

# Ids are random: ordering by id uses the row's number, oldest first as in other lists.
SUBSCRIPTION_LISTING = Listing(filters={}, order={"id": SubscriptionRow.number})
EVENT_LISTING = Listing(filters={}, order={"id": DeliveryRow.number})

DEFAULT_LIMIT = 10

TEST_RUN = {
    "jobId": "123",
    "jobName": "Test of this webhook",
    "runId": "12345",
    "environmentId": "1234",
    "environmentName": "Production",
    "dbtVersion": None,
    "projectName": "Test of this webhook",
    "projectId": "167194",
    "runStatus": "Running",
    "runStatusCode": 3,
    "runStatusMessage": "None",
    "runReason": "Test of this webhook",
    "runStartedAt": "2023-01-31T19:28:07Z",
}


def list_subscriptions(call: Call) -> JSONResponse:
    query = _list_query(call, SUBSCRIPTION_LISTING)
    statement = select(SubscriptionRow).where(SubscriptionRow.account_id == call.account_id)
    with call.server.store.read() as session:
        page = page_of(session, statement, query)
        data = [subscription_payload(row) for row in page.rows]
    return _response(data, extra=_extra(query, len(data), page.total))


def create_subscription(call: Call, body: Body) -> JSONResponse:
    """Create a subscription; only this response contains the secret."""
    request = body.parse(SubscriptionRequest)
    with call.server.store.write() as session:
        moment = now()
        row = SubscriptionRow(
            account_id=call.account_id,
            created_at=moment,
            updated_at=moment,
            **request.columns(),
        )
        session.add(row)
        session.flush()
        return _response(subscription_payload(row, with_secret=True), code=201)


def get_subscription(call: Call, subscription_id: str) -> JSONResponse:
    with call.server.store.read() as session:
        return _response(subscription_payload(find_subscription(session, call, subscription_id)))


def replace_subscription(call: Call, subscription_id: str, body: Body) -> JSONResponse:
    """Replace the subscription; activating it resets its failure count."""
    request = body.parse(SubscriptionRequest)
    with call.server.store.write() as session:
        row = find_subscription(session, call, subscription_id)
        for name, value in request.columns().items():
            setattr(row, name, value)
        row.updated_at = now()
        if request.active:
            row.failed_attempts = 0
        else:
            deactivate(session, row)
        return _response(subscription_payload(row))


def delete_subscription(call: Call, subscription_id: str) -> JSONResponse:
    """Delete the subscription with its pending deliveries."""
    with call.server.store.write() as session:
        session.delete(find_subscription(session, call, subscription_id))
    return JSONResponse(
        {"data": {"id": subscription_id}, "status": {"code": 200, "is_success": True}}
    )


def send_test_event(call: Call, subscription_id: str) -> JSONResponse:
    """Send an event of a made-up run once and return the receiver's status code."""
    with call.server.store.write() as session:
        row = find_subscription(session, call, subscription_id)
        delivery = delivery_of(row, row.event_types[0], TEST_RUN)
        delivery.next_attempt_at = None
        session.add(delivery)
        session.flush()
        letter, event_id = pending_delivery(delivery), delivery.id
    attempt = asyncio.run(post_once(letter, call.server.settings.webhook_timeout))
    with call.server.store.write() as session:
        record_attempt(session, letter.number, attempt)
    return _response(
        {
            "event_id": event_id,
            "verification_error": attempt.error,
            "verification_status_code": str(attempt.status_code or 0),
        }
    )


def list_events(call: Call, subscription_id: str) -> JSONResponse:
    """Return the delivery log of the last 30 days."""
    query = _list_query(call, EVENT_LISTING)
    with call.server.store.read() as session:
        row = find_subscription(session, call, subscription_id)
        statement = (
            select(DeliveryRow)
            .where(DeliveryRow.subscription_number == row.number)
            .options(selectinload(DeliveryRow.attempts))
        )
        page = page_of(session, statement, query)
        data = [event_payload(one) for one in page.rows]
    return _response(data, extra=_extra(query, len(data), page.total))


def get_receipt(call: Call, subscription_id: str, event_id: str) -> JSONResponse:
    with call.server.store.read() as session:
        row = find_subscription(session, call, subscription_id)
        delivery = session.scalar(
            select(DeliveryRow).where(
                DeliveryRow.subscription_number == row.number, DeliveryRow.id == event_id
            )
        )
        if delivery is None:
            raise NotFoundError
        return _response(receipt_payload(delivery))


def find_subscription(session: Session, call: ApiCall, subscription_id: str) -> SubscriptionRow:
    row = session.scalar(
        select(SubscriptionRow).where(
            SubscriptionRow.id == subscription_id, SubscriptionRow.account_id == call.account_id
        )
    )
    if row is None:
        raise NotFoundError
    return row


def _list_query(call: ApiCall, listing: Listing) -> ListQuery:
    query = call.list_query(listing)
    return query if call.params.get("limit") else replace(query, limit=DEFAULT_LIMIT)


def _response(data: Any, code: int = 200, extra: dict[str, Any] | None = None) -> JSONResponse:
    """Return the webhook envelope, which is shorter than that of other endpoints."""
    body = {"data": data, "status": {"code": code}}
    return JSONResponse(body | ({"extra": extra} if extra else {}), status_code=code)


def _extra(query: ListQuery, count: int, total: int) -> dict[str, Any]:
    return {
        "pagination": {"total_count": total, "count": count},
        "filters": {"offset": query.offset, "limit": query.limit},
    }

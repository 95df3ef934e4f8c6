"""Write events into the outbox, in the transaction that changes the run.

So a crash neither loses an event nor sends one for a change that was not stored.
"""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import event, select
from sqlalchemy.orm import Session, object_session

from ..storage.statuses import Status
from ..storage.tables import ProjectRow, RunRow
from .tables import DeliveryRow, SubscriptionRow, new_id

STARTED, COMPLETED, ERRORED = "job.run.started", "job.run.completed", "job.run.errored"

# A failed run sends both events.
EVENTS_BY_STATUS: dict[Status, tuple[str, ...]] = {
    Status.RUNNING: (STARTED,),
    Status.SUCCESS: (COMPLETED,),
    Status.ERROR: (ERRORED, COMPLETED),
    Status.CANCELLED: (COMPLETED,),
}
STATUS_WORDS = {Status.ERROR: "Errored"}  # the API itself reports "Error"
STATUS_CHANGES = "runs whose status changed"


@event.listens_for(RunRow.status_code, "set")
def remember_change(run: RunRow, value: int, _old: object, _initiator: object) -> None:
    """Store the status change in the session until the commit."""
    session = object_session(run)
    if session is not None:
        session.info.setdefault(STATUS_CHANGES, []).append((run, Status(value)))


def record_events(session: Session) -> bool:
    """Add the deliveries of this transaction's changes; return whether there are any."""
    found = False
    for run, status in session.info.pop(STATUS_CHANGES, []):
        for event_type in EVENTS_BY_STATUS.get(status, ()):
            deliveries = _deliveries(session, run, event_type, status)
            session.add_all(deliveries)
            found = found or bool(deliveries)
    return found


def delivery_of(subscription: SubscriptionRow, event_type: str, data: Any) -> DeliveryRow:
    """Return an outbox entry with the body that dbt Cloud documents."""
    event_id = new_id("wev")
    body = {
        "accountId": subscription.account_id,
        "webhookId": subscription.id,
        "eventId": event_id,
        "timestamp": _nanoseconds(time.time_ns()),
        "eventType": event_type,
        "webhookName": subscription.name,
        "data": data,
    }
    return DeliveryRow(
        id=event_id, subscription=subscription, event_type=event_type, body=json.dumps(body)
    )


def run_data(run: RunRow, status: Status, event_type: str, project_name: str) -> dict[str, Any]:
    """Return an event's ``data``: ids are text, and a missing message is the word None."""
    data = {
        "jobId": str(run.job_id),
        "jobName": run.job_definition["name"],
        "runId": str(run.id),
        "environmentId": str(run.environment_id),
        "environmentName": run.environment.name,
        "dbtVersion": run.dbt_version,
        "projectName": project_name,
        "projectId": str(run.project_id),
        "runStatus": STATUS_WORDS.get(status, status.humanized),
        "runStatusCode": int(status),
        "runStatusMessage": str(run.status_message),
        "runReason": run.trigger["cause"],
        "runStartedAt": _seconds(run.started_at),
    }
    ended = {COMPLETED: "runFinishedAt", ERRORED: "runErroredAt"}.get(event_type)
    return {**data, ended: _seconds(run.finished_at)} if ended else data


def _deliveries(
    session: Session, run: RunRow, event_type: str, status: Status
) -> list[DeliveryRow]:
    active = select(SubscriptionRow).where(
        SubscriptionRow.account_id == run.account_id, SubscriptionRow.active
    )
    found = [one for one in session.scalars(active) if one.includes(event_type, run.job_id)]
    if not found:
        return []
    project = session.get_one(ProjectRow, run.project_id)
    data = run_data(run, status, event_type, project.name)
    return [delivery_of(subscription, event_type, data) for subscription in found]


def _seconds(moment: datetime | None) -> str | None:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ") if moment else None


def _nanoseconds(nanoseconds: int) -> str:
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09}Z"

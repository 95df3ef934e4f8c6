"""Read the messages of a Dag run from the receiver of notifications."""

from __future__ import annotations

from typing import Any

from tests.webhook_receiver import WebhookReceiver


def messages(receiver: WebhookReceiver, run_id: str, event: str) -> list[dict[str, Any]]:
    events = [received.event for received in receiver.received]
    return [one for one in events if (one["event"], one["dag_run_id"]) == (event, run_id)]

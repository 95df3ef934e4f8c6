"""What the receiver of notifications has heard of a Dag run."""

from __future__ import annotations

from typing import Any

from tests.webhook_receiver import WebhookReceiver


def told(receiver: WebhookReceiver, run_id: str, event: str) -> list[dict[str, Any]]:
    heard = [received.event for received in receiver.received]
    return [one for one in heard if (one["event"], one["dag_run_id"]) == (event, run_id)]

"""Waits for a dbt Cloud run in the worker, for tasks that are not deferrable."""

from __future__ import annotations

import time
from typing import Any

from include.dbt_cloud.answers import NoAnswerError
from include.dbt_cloud.client import DbtCloudClient
from include.dbt_cloud.trigger import DbtCloudRunTrigger


def wait_in_worker(client: DbtCloudClient, trigger: DbtCloudRunTrigger) -> dict[str, Any]:
    """The payload of the event that the trigger would fire."""
    heard_at = time.monotonic()
    while True:
        status, problem = None, ""
        try:
            status = client.get(f"runs/{trigger.wait.run_id}/")["status"]
            heard_at = time.monotonic()
        except NoAnswerError as error:
            problem = str(error)
        if event := trigger.event(status, time.monotonic() - heard_at, problem):
            payload: dict[str, Any] = event.payload
            return payload
        time.sleep(trigger.wait.poll_interval)

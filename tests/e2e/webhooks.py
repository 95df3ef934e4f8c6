"""dbt Cloud's webhooks as a test sends them, signed with the local dbt Cloud's own secret."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import partial
from typing import Any, Self

import httpx
from airflow.sdk import Asset

from include.dbt_cloud.events.signature import sign
from include.local_dbt_cloud.serving.connections import DBT_CLOUD
from include.local_dbt_cloud.serving.subscription import FILE, RECEIVER_PATH
from tests.e2e.airflow_client import Airflow
from tests.e2e.project import Project
from tests.waiting import eventually


class Sender:
    """Sends to the Airflow of a project, which hears of runs that dbt Cloud never had."""

    def __init__(self, project: Project) -> None:
        self.address = f"http://127.0.0.1:{project.port}{RECEIVER_PATH}"
        known = json.loads((project.root / "include" / ".local" / FILE).read_text())
        self.secret: str = known["hmac_secret"]
        self._client = httpx.Client(trust_env=False, verify=False, timeout=60)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def send(self, body: bytes, signature: str | None = None) -> httpx.Response:
        headers = {"Authorization": signature or sign(self.secret, body)}
        return self._client.post(self.address, content=body, headers=headers)

    def finished(
        self, run_id: int, job_id: int, account: int = int(DBT_CLOUD.login), **odd: Any
    ) -> bytes:
        """Return the webhook of a run that has just ended; ``odd`` replaces its fields."""
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        data = {
            "jobId": str(job_id),
            "jobName": "Marketing build",
            "runId": str(run_id),
            "environmentId": "29118",
            "projectId": "36467",
            "runStatusCode": 10,
            "runStatusMessage": "None",
            "runReason": "made up by a test",
            "runStartedAt": now,
            "runFinishedAt": now,
        }
        event = {"accountId": account, "eventId": f"wev_{run_id}", "timestamp": now}
        event["data"] = data | odd
        return json.dumps(event | {"eventType": "job.run.completed"}).encode()


def events_of(airflow: Airflow, asset: Asset, newest: int = 100) -> list[dict[str, Any]]:
    """As many as are asked for, the newest first; a page has a hundred at most."""
    [found] = airflow.call("GET", f"/assets?uri_pattern={asset.uri}")["assets"]
    path = f"/assets/events?asset_id={found['id']}&order_by=-timestamp&limit=100"

    def page(start: int) -> httpx.Response | None:
        # Airflow 3.3.2 answers 500 while a Dag run that one of the events made has not begun.
        answer = airflow.api.get(f"{path}&offset={start}")
        return answer if answer.is_success else None

    starts = range(0, newest, 100)
    pages = [eventually(partial(page, start), "Airflow lists the events") for start in starts]
    return [event for answer in pages for event in answer.json()["asset_events"]][:newest]

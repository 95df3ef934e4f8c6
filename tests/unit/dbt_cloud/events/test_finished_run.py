"""A run tells the same by webhook and by list."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from include.dbt_cloud.events import FinishedRun

WEBHOOK: dict[str, Any] = {
    "accountId": 16173,
    "data": {
        "jobId": "65767",
        "jobName": "Daily build",
        "runId": "7",
        "environmentId": "29118",
        "projectId": "36467",
        "runStatusCode": 20,
        "runStatusMessage": "None",
        "runReason": "Kicked off by hand",
        "runStartedAt": "2026-11-25T10:00:00Z",
        "runFinishedAt": "2026-11-25T10:01:00Z",
    },
}
LISTED: dict[str, Any] = {
    "id": 7,
    "job_definition_id": 65767,
    "project_id": 36467,
    "environment_id": 29118,
    "status": 20,
    "status_message": None,
    "started_at": "2026-11-25 10:00:00.250000+00:00",
    "finished_at": "2026-11-25 10:01:00.750000+00:00",
    "href": "https://localhost:8580/deploy/16173/projects/36467/runs/7/",
    "job": {"name": "Daily build"},
    "trigger": {"cause": "Kicked off by hand"},
}


def test_webhook_and_list_tell_the_same() -> None:
    run = FinishedRun.of_webhook(WEBHOOK, "localhost:8580")

    assert run == FinishedRun.of_listed(LISTED)
    assert (run.status, run.message) == ("error", "")
    assert run.finished_at == "2026-11-25T10:01:00+00:00"


def test_an_event_tells_the_whole_run() -> None:
    run = FinishedRun.of_listed(LISTED)

    assert FinishedRun.of_extra(run.as_extra()) == run
    assert run.as_extra() == {"dbt_cloud_run": asdict(run)}


@pytest.mark.parametrize("extra", [{}, {"from_rest_api": True}])
def test_other_events_tell_of_no_run(extra: dict[str, Any]) -> None:
    assert FinishedRun.of_extra(extra) is None


def test_a_run_that_was_cancelled_in_the_queue_never_began() -> None:
    run = FinishedRun.of_listed(LISTED | {"status": 30, "started_at": None})

    assert (run.status, run.started_at) == ("cancelled", "")

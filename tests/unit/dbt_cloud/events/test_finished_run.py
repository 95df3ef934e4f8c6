"""Tests of finished runs from webhooks and lists."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import pytest

from include.dbt_cloud.api.accounts import Account
from include.dbt_cloud.events import FinishedRun

ACCOUNT = Account("localhost:8580", 16173)

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


def test_finished_run_is_equal_from_webhook_and_list() -> None:
    run = FinishedRun.of_webhook(WEBHOOK, ACCOUNT)

    assert run == FinishedRun.of_listed(LISTED, ACCOUNT)
    assert (run.status, run.message) == ("error", "")
    assert run.finished_at == "2026-11-25T10:01:00+00:00"


def test_finished_run_is_restored_from_its_event_extra() -> None:
    run = FinishedRun.of_listed(LISTED, ACCOUNT)

    assert FinishedRun.of_extra(run.as_extra()) == run
    assert run.as_extra() == {"dbt_cloud_run": asdict(run)}


def test_finished_run_reads_event_extras_of_other_versions() -> None:
    run = FinishedRun.of_listed(LISTED, ACCOUNT)
    newer = asdict(run) | {"dbt_version": "2.0", "steps": [{"name": "dbt build"}]}
    older = {name: newer[name] for name in ("run_id", "job_id", "finished_at")}

    assert FinishedRun.of_extra({"dbt_cloud_run": newer}) == run
    read = FinishedRun.of_extra({"dbt_cloud_run": older})
    assert read
    assert (read.run_id, read.status, read.project_id, read.url) == (7, "", None, "")
    assert (read.host, read.account_id) == ("", None)


def test_finished_run_is_the_same_only_in_one_account() -> None:
    run = FinishedRun.of_listed(LISTED, ACCOUNT)
    elsewhere = (Account("localhost:8580", 7), Account("eu.dbt.com", 16173))

    assert run.is_same(replace(run, message="another", url=""))
    assert not run.is_same(replace(run, run_id=8))
    assert not any(run.is_same(FinishedRun.of_listed(LISTED, other)) for other in elsewhere)
    assert run.is_same(replace(run, host="", account_id=None))  # of an earlier version


@pytest.mark.parametrize("field", ["id", "job_definition_id", "status", "finished_at"])
def test_finished_run_requires_id_job_status_and_end(field: str) -> None:
    unreadable: list[Any] = [None, [], {}, "soon", -1]
    for value in unreadable:
        with pytest.raises(ValueError, match=" is "):
            FinishedRun.of_listed(LISTED | {field: value}, ACCOUNT)


def test_finished_run_accepts_missing_optional_fields() -> None:
    unknown = ("job", "trigger", "status_message", "started_at", "project_id", "environment_id")
    bare = {name: value for name, value in LISTED.items() if name not in (*unknown, "href")}

    for run in (bare, bare | dict.fromkeys((*unknown, "href"))):
        read = FinishedRun.of_listed(run, ACCOUNT)
        assert (read.run_id, read.job_name, read.cause, read.url) == (7, "", "", "")
        assert (read.project_id, read.environment_id, read.started_at) == (None, None, "")
    assert FinishedRun.of_listed(LISTED | {"job": [], "trigger": "by hand"}, ACCOUNT).cause == ""


@pytest.mark.parametrize("extra", [{}, {"from_rest_api": True}])
def test_finished_run_is_none_for_other_events(extra: dict[str, Any]) -> None:
    assert FinishedRun.of_extra(extra) is None


def test_finished_run_cancelled_in_the_queue_has_no_start() -> None:
    run = FinishedRun.of_listed(LISTED | {"status": 30, "started_at": None}, ACCOUNT)

    assert (run.status, run.started_at) == ("cancelled", "")

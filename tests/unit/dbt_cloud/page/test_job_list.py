"""Tests of the list of jobs, which is cached for a minute and kept in an outage."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudHook

from include.dbt_cloud.api.client import DbtCloudClient
from include.dbt_cloud.page.job_list import SECONDS, JobList, JobListReader, JobSettings
from include.dbt_cloud.page.newest_runs import NewestRuns
from include.local_dbt_cloud.testing import LocalDbtCloud
from tests.bundled import DAILY_BUILD
from tests.unit.dbt_cloud.conftest import go_well, go_wrong
from tests.unit.dbt_cloud.made_jobs import made_jobs
from tests.unit.dbt_cloud.page.test_newest_runs import CONN_ID, Clock, calls

__all__ = ["calls"]
PROJECTS = [{"id": 5, "name": "Shop"}]
DAILY = {"time": {"type": "every_hour", "interval": 1}, "date": {"type": "every_day"}}


def job(**more: Any) -> dict[str, Any]:
    """Return a job as dbt Cloud lists it."""
    return {
        "id": 1,
        "name": "Daily",
        "project_id": 5,
        "environment_id": 6,
        "environment": {"id": 6, "name": "Production"},
        "next_run": None,
        "triggers": {"schedule": False},
        "job_completion_trigger_condition": None,
    } | more


def settings(**more: Any) -> JobSettings:
    return JobList.of([job(**more)], PROJECTS).jobs[1]


def test_job_list_has_names_next_run_and_what_starts_a_job() -> None:
    found = settings(next_run="2026-11-25T10:00:00Z", triggers={"schedule": True})

    next_run = datetime(2026, 11, 25, 10, tzinfo=UTC)
    assert found == JobSettings("Daily", "Shop", "Production", next_run, "Schedule")


@pytest.mark.parametrize(
    ("more", "starts"),
    [
        ({}, ""),
        ({"triggers": {"git_provider_webhook": True}}, "Pull request"),
        ({"triggers": {"on_merge": True}}, "Merge"),
        ({"job_completion_trigger_condition": {"condition": {"job_id": 7}}}, "Another job's run"),
    ],
)
def test_job_list_names_what_starts_a_job(more: dict[str, Any], starts: str) -> None:
    assert settings(**more).starts == starts


def test_job_list_shows_ids_of_unnamed_projects_and_environments() -> None:
    listed = JobList.of([job()], PROJECTS)

    assert listed.unlisted("Old", 5, 6) == JobSettings("Old", "Shop", "Production")
    assert listed.unlisted("", 8, 9) == JobSettings("", "Project 8", "Environment 9")
    assert listed.unlisted("", 0, 0) == JobSettings("", "", "")


@pytest.mark.parametrize("name", [*job()])
@pytest.mark.parametrize("value", [None, [], {}, "x", 7, True, -1.5], ids=str)
def test_job_list_accepts_any_values(name: str, value: Any) -> None:
    listed = JobList.of([job(**{name: value}), None, job(id=2)], [None, {}, *PROJECTS])

    assert listed.jobs[2].project == "Shop"


def test_job_list_is_read_once_a_minute(
    dbt_cloud_connection: LocalDbtCloud, calls: list[str]
) -> None:
    clock = Clock()
    newest_runs = NewestRuns(CONN_ID, clock=clock)

    with made_jobs(dbt_cloud_connection) as jobs:
        scheduled = jobs.make("Daily build", schedule=DAILY, triggers={"schedule": True})
        first = newest_runs.read().listed
        clock.now += SECONDS - 0.1
        newest_runs.read()
        assert calls.count("jobs/") == 1

    clock.now += 6
    second = newest_runs.read().listed

    assert calls.count("jobs/") == 2
    found = first.jobs[scheduled]
    assert (found.name, found.project, found.environment) == (
        "Daily build",
        "Jaffle shop",
        "Production",
    )
    assert found.next_run
    assert found.starts == "Schedule"
    assert first.jobs[DAILY_BUILD].next_run is None
    assert (scheduled in second.jobs, first.problem, second.problem) == (False, "", "")


def test_job_list_keeps_its_jobs_during_an_outage(dbt_cloud_connection: LocalDbtCloud) -> None:
    clock = Clock()
    newest_runs = NewestRuns(CONN_ID, clock=clock)
    before = newest_runs.read().listed
    go_wrong(dbt_cloud_connection, "503", path="*/jobs")
    clock.now += SECONDS + 1

    try:
        recent = newest_runs.read()
    finally:
        go_well(dbt_cloud_connection)

    assert (recent.problem, recent.listed.problem) == ("", "dbt Cloud returned 503")
    assert recent.listed.jobs == before.jobs != {}


def test_job_list_of_another_account_has_no_jobs_of_the_former_one(
    dbt_cloud_connection: LocalDbtCloud,
) -> None:
    reader, hook = JobListReader(), DbtCloudHook(CONN_ID)

    first = reader.read(hook, DbtCloudClient(hook, None))
    second = reader.read(hook, DbtCloudClient(hook, 7))

    assert (bool(first.jobs), first.problem) == (True, "")
    assert (second.jobs, bool(second.problem)) == ({}, True)

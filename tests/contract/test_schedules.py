"""Jobs with a schedule start at its times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from include.local_dbt_cloud.pytest_plugin import MakeLocalDbtCloud
from tests.bundled import ACCOUNT_ID
from tests.contract.conftest import http_client
from tests.waiting import eventually

pytestmark = pytest.mark.slow

JOBS = f"v2/accounts/{ACCOUNT_ID}/jobs"
RUNS = f"v2/accounts/{ACCOUNT_ID}/runs"
JOB: dict[str, Any] = {
    "account_id": ACCOUNT_ID,
    "project_id": 36467,
    "environment_id": 29118,
    "name": "Temporary",
    "execute_steps": ["dbt deps"],
    "triggers": {"schedule": True},
}
EVERY_SECOND = {"date": {"type": "custom_cron", "cron": "* * * * * *"}}


def test_scheduled_job_starts_runs_until_its_schedule_is_disabled(
    make_local_dbt_cloud: MakeLocalDbtCloud,
) -> None:
    with http_client(make_local_dbt_cloud()) as api:
        job_id = api.post(JOBS, json=JOB | {"schedule": EVERY_SECOND}).json()["data"]["id"]
        eventually(
            lambda: sum(run["is_success"] for run in scheduled_runs(api, job_id)) >= 2,
            "two scheduled runs succeed",
        )
        api.post(f"{JOBS}/{job_id}", json=JOB | {"triggers": {"schedule": False}})
        runs = scheduled_runs(api, job_id)
        eventually(
            lambda: all(run["is_complete"] for run in scheduled_runs(api, job_id)),
            "no run is active",
        )
        assert len(scheduled_runs(api, job_id)) == len(runs)
        assert {run["trigger"]["cause"] for run in runs} == {"scheduled"}


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        ({}, "Every hour"),
        (
            {
                "date": {"type": "days_of_week", "days": [1, 5]},
                "time": {"type": "at_exact_hours", "hours": [9]},
            },
            "At 09:00 AM, only on Monday and Friday",
        ),
    ],
)
def test_job_returns_its_next_run_and_schedule_in_words(
    api: httpx.Client, schedule: dict[str, Any], words: str
) -> None:
    job = api.post(JOBS, json=JOB | {"schedule": schedule}).json()["data"]
    deleted = api.delete(f"{JOBS}/{job['id']}").json()["data"]
    assert job["cron_humanized"] == words
    moment = datetime.fromisoformat(job["next_run"])
    assert timedelta(0) < moment - datetime.now(UTC) <= timedelta(days=4)
    assert (moment.minute, moment.second) == (0, 0)
    assert job["next_run_humanized"].split()[1].startswith(("second", "minute", "hour", "day"))
    assert (deleted["next_run"], deleted["next_run_humanized"]) == (None, None)


@pytest.mark.parametrize(
    ("date", "days"),
    [
        ({"type": "interval_cron", "cron": "4 */5 * * 1,3,7"}, [0, 1, 3]),
        ({"type": "interval_cron", "cron": "4 */5 * * mon-wed"}, [1, 2, 3]),
        ({"type": "interval_cron", "cron": "4 */5 * * *"}, [0, 1, 2, 3, 4, 5, 6]),
        ({"type": "interval_cron"}, [0, 1, 2, 3, 4, 5, 6]),
        ({"type": "interval_cron", "cron": "4 */5 * * 1", "days": [1]}, [1]),
        ({"type": "custom_cron", "cron": "4 */5 * * 1"}, None),
    ],
)
def test_days_of_an_interval_are_those_of_its_cron_expression(
    api: httpx.Client, date: dict[str, Any], days: list[int] | None
) -> None:
    job = api.post(JOBS, json=JOB | {"schedule": {"date": date}}).json()["data"]
    read = api.get(f"{JOBS}/{job['id']}").json()["data"]
    api.delete(f"{JOBS}/{job['id']}")
    assert read["schedule"]["date"].get("days") == days
    assert read["schedule"] == job["schedule"]


def test_job_with_a_disabled_schedule_has_no_next_run(api: httpx.Client) -> None:
    job = api.get(f"{JOBS}/65767").json()["data"]
    assert (job["next_run"], job["next_run_humanized"]) == (None, None)
    assert job["cron_humanized"] == "Every hour"


def scheduled_runs(api: httpx.Client, job_id: int) -> list[dict[str, Any]]:
    params: dict[str, Any] = {"job_definition_id": job_id, "include_related": "trigger"}
    runs: list[dict[str, Any]] = api.get(RUNS, params=params).json()["data"]
    return [run for run in runs if run["trigger"]["cause_category"] == "scheduled"]

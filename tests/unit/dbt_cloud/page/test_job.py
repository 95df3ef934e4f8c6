"""Tests of a job's numbers, worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest

from include.dbt_cloud.page.job import Job
from include.dbt_cloud.page.job_list import JobList, JobSettings
from include.dbt_cloud.page.runs import Run
from include.dbt_cloud.page.started_by import DagRun
from tests.unit.dbt_cloud.page.test_content import DAILY, run


def test_job_counts_finished_runs_and_takes_the_median_of_their_times() -> None:
    def took(run_id: int, seconds: int, status: int = 10) -> dict[str, Any]:
        finished_at = f"2026-11-25 10:{run_id:02}:{10 + seconds}+00:00"
        return run(run_id, status=status, finished_at=finished_at)

    waiting = run(5, status=1, started_at=None, finished_at=None)
    runs = [waiting, run(4, status=3), took(3, 9), took(2, 1, 20), took(1, 3, 30)]

    daily = Job.of(DAILY, [Run.of(one, {}) for one in runs], JobList())

    assert daily.counts == "1 queued, 1 running, 1 success, 1 error, 1 cancelled"
    assert (daily.seconds, daily.median, len(daily.finished)) == ([9, 1, 3], 3, 3)
    assert daily.success_rate == pytest.approx(1 / 3)
    assert daily.line(6) == [None, 3, 1, 9, None, None]
    assert daily.line(2) == [None, None]


def test_job_is_started_by_the_dag_or_person_of_its_newest_run_or_its_settings() -> None:
    settings = JobSettings("Daily", "", "", starts="Schedule")
    by_dag = Run.of(run(2), {2: DagRun("sales", "manual")})
    by_person = Run.of(run(1, trigger={"cause": "Kicked off from UI by ada"}), {})

    assert Job(DAILY, [by_dag, by_person], settings).starter == "sales"
    assert Job(DAILY, [by_person, by_dag], settings).starter == "ada"
    assert Job(DAILY, [], settings).starter == "Schedule"

"""Tests of the runs that a Dag run's events name."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

from include.dbt_cloud.events import FinishedRun, account_runs, finished_runs, job_runs
from tests.unit.dbt_cloud.events.test_assets import RUN


def event(run: FinishedRun) -> SimpleNamespace:
    return SimpleNamespace(extra=run.as_extra())


def test_finished_runs_returns_a_run_of_two_assets_once_and_in_order() -> None:
    earlier = replace(RUN, run_id=8, finished_at="2026-11-25T09:00:00+00:00")

    runs = finished_runs(
        {job_runs(RUN.job_id): [event(RUN)], account_runs(): [event(RUN), event(earlier)]}
    )

    assert runs == [earlier, RUN]
    assert finished_runs(None) == []


def test_finished_runs_returns_runs_of_two_accounts_with_one_id() -> None:
    theirs = replace(RUN, host="eu.dbt.com", url="https://eu.dbt.com/deploy/16173/runs/7/")

    runs = finished_runs(
        {
            job_runs(RUN.job_id): [event(RUN)],
            job_runs(RUN.job_id, "dbt_cloud_eu"): [event(theirs)],
        }
    )

    assert runs == [RUN, theirs]

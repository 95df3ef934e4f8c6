"""Tests of the runs that dbt Cloud starts by completion triggers, with the local dbt Cloud."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowSkipException
from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudJobRunException

from include.dbt_cloud.api.responses import DbtCloudRefusedError
from include.dbt_cloud.jobs import DbtCloudFollowTriggeredRunOperator
from include.local_dbt_cloud.testing import LocalDbtCloud
from tests.unit.dbt_cloud.conftest import BUILD, Task, missing_table
from tests.unit.dbt_cloud.made_jobs import MadeJobs

FAILS = ["dbt ls --selector no_such_selector"]


def ended_run(server: LocalDbtCloud, job_id: int, **overrides: Any) -> int:
    run_id = server.trigger(job_id, **overrides)
    server.wait(run_id)
    return run_id


def follower(jobs: MadeJobs, job_id: int, parent_run: int | None, **arguments: Any) -> Task:
    return Task(
        jobs.server,
        DbtCloudFollowTriggeredRunOperator,
        job_id=job_id,
        triggered_by_run_id=parent_run,
        **arguments,
    )


def test_follower_waits_for_the_run_that_dbt_cloud_started(jobs: MadeJobs) -> None:
    parent = jobs.make("parent")
    child = jobs.make("child", after=parent)
    parent_run = ended_run(jobs.server, parent)
    task = follower(jobs, child, parent_run)

    run_id = task.try_()

    (run,) = jobs.server.get("runs/", job_definition_id=child, include_related="trigger")
    assert (run["id"], run["is_success"]) == (run_id, True)
    assert run["trigger"]["cause_category"] == "job completion"
    assert task.pushed["job_run_url"] == run["href"]


def test_each_follower_finds_the_run_of_its_own_parent_run(jobs: MadeJobs) -> None:
    parent = jobs.make("parent")
    child = jobs.make("child", after=parent)
    ended = [ended_run(jobs.server, parent) for _ in range(3)]
    # A person starts the child too.
    ended_run(jobs.server, child)

    runs = jobs.server.get("runs/", job_definition_id=child, include_related="trigger")
    causes = {run["id"]: run["trigger"]["cause"] for run in runs}
    for parent_run in ended:
        followed = follower(jobs, child, parent_run).try_()
        assert f"Run {parent_run} of" in causes[followed]


def test_followers_follow_a_chain_of_three(jobs: MadeJobs) -> None:
    first = jobs.make("first")
    second = jobs.make("second", after=first)
    third = jobs.make("third", after=second)

    second_run = follower(jobs, second, ended_run(jobs.server, first)).try_()
    third_run = follower(jobs, third, second_run).try_()

    assert [run["id"] for run in jobs.server.get("runs/", job_definition_id=third)] == [third_run]


def test_follower_is_skipped_if_the_parents_status_starts_nothing(jobs: MadeJobs) -> None:
    parent = jobs.make("parent")
    child, cleanup = (
        jobs.make("child", after=parent),
        jobs.make("clean", after=parent, statuses=[20]),
    )
    parent_run = ended_run(jobs.server, parent, steps_override=FAILS)

    with pytest.raises(
        AirflowSkipException, match=f"after success, but run {parent_run} ended .*err"
    ):
        follower(jobs, child, parent_run).try_()
    assert jobs.server.get("runs/", job_definition_id=child) == []
    assert follower(jobs, cleanup, parent_run).try_()


def test_follower_is_skipped_if_the_parent_has_no_run(jobs: MadeJobs) -> None:
    with pytest.raises(AirflowSkipException, match="its parent has none"):
        follower(jobs, jobs.make("child"), None).try_()


def test_follower_is_skipped_if_the_trigger_was_removed(jobs: MadeJobs) -> None:
    parent, child = jobs.make("parent"), jobs.make("child")

    with pytest.raises(AirflowSkipException, match="'child' no longer starts after"):
        follower(jobs, child, ended_run(jobs.server, parent)).try_()


def test_follower_fails_if_the_job_was_deleted(jobs: MadeJobs) -> None:
    parent = jobs.make("parent")
    child = jobs.make("child", after=parent)
    jobs.server.request("DELETE", f"jobs/{child}/")

    with pytest.raises(DbtCloudRefusedError, match=f"404: job {child} does not exist"):
        follower(jobs, child, ended_run(jobs.server, parent)).try_()


def test_follower_fails_if_dbt_cloud_starts_no_run(jobs: MadeJobs) -> None:
    parent = jobs.make("parent")
    child = jobs.make("child", after=parent)
    parent_run = ended_run(jobs.server, parent, github_pull_request_id=7)  # these start nothing
    ended_run(jobs.server, child)  # a person's

    with pytest.raises(AirflowException, match=f"has not started job {child} within 1 s"):
        follower(jobs, child, parent_run, start_seconds=1).try_()


def test_follower_fails_while_the_parent_runs(jobs: MadeJobs, held_warehouse: None) -> None:
    parent = jobs.make("parent", BUILD)
    child = jobs.make("child", after=parent)
    parent_run = jobs.server.trigger(parent)

    try:
        with pytest.raises(AirflowException, match=f"Run {parent_run} is still running"):
            follower(jobs, child, parent_run).try_()
    finally:
        jobs.server.request("POST", f"runs/{parent_run}/cancel/")
        jobs.server.wait(parent_run)


def test_retry_resumes_the_run_that_dbt_cloud_started(jobs: MadeJobs) -> None:
    parent = jobs.make("parent")
    child = jobs.make("child", BUILD, after=parent)
    task = None
    with missing_table(jobs.server, "stores"):
        parent_run = ended_run(jobs.server, parent)
        task = follower(jobs, child, parent_run)
        with pytest.raises(DbtCloudJobRunException, match="stg_stores"):
            task.try_()

    resumed = task.try_()

    runs = jobs.server.get("runs/", job_definition_id=child)
    assert [run["retrying_run_id"] for run in runs] == [None, runs[0]["id"]]
    assert resumed == runs[1]["id"]


def test_clear_after_a_success_starts_nothing_unless_the_parent_ran_again(jobs: MadeJobs) -> None:
    parent = jobs.make("parent")
    child = jobs.make("child", after=parent)
    task = follower(jobs, child, ended_run(jobs.server, parent))
    first = task.try_()

    task.clear()
    assert task.try_() == first
    task.clear()
    again = task.try_(triggered_by_run_id=ended_run(jobs.server, parent))

    assert [run["id"] for run in jobs.server.get("runs/", job_definition_id=child)] == [
        first,
        again,
    ]


def test_clear_after_a_cancelled_run_starts_a_new_one(jobs: MadeJobs, held_warehouse: None) -> None:
    parent = jobs.make("parent")
    child = jobs.make("child", BUILD, after=parent)
    task = follower(jobs, child, ended_run(jobs.server, parent), wait_for_termination=False)
    started = task.try_()
    jobs.server.request("POST", f"runs/{started}/cancel/")
    jobs.server.wait(started)

    task.clear()
    new = task.try_(steps_override=["dbt deps"])

    assert jobs.server.wait(new)["is_success"]
    assert [run["id"] for run in jobs.server.get("runs/", job_definition_id=child)] == [
        started,
        new,
    ]

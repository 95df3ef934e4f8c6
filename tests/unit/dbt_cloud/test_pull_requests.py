"""Of the runs that check a pull request, the one of the newest commit alone goes on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from include.dbt_cloud.pull_requests import DbtCloudCheckPullRequestOperator
from tests.unit.dbt_cloud.conftest import BUILD, MakeTask, Task

OLD, NEW = "1" * 40, "2" * 40
MakeCheck = Callable[..., Task]


@pytest.fixture
def make_check(make_task: MakeTask, held_warehouse: None) -> MakeCheck:
    """Checks are asked for in the order in which they are made."""

    def make(git_sha: str | None, number: int = 7) -> Task:
        names = {"github_pull_request_id": number, "git_sha": git_sha}
        return make_task(BUILD, kind=DbtCloudCheckPullRequestOperator, additional_run_config=names)

    return make


def occupy(task: Task) -> int:
    """A run of dbt Cloud's own: it waits for the warehouse, and the pull request's others for it.

    It begins after the checks were asked for, so that none takes it for older.
    """
    run_id = task.server.trigger(github_pull_request_id=7, steps_override=[BUILD])
    task.server.wait(run_id, until={3})
    return run_id


def cancelled(task: Task, *run_ids: int) -> list[bool]:
    runs: list[dict[str, Any]] = [task.server.get(f"runs/{run_id}/") for run_id in run_ids]
    return [run["is_cancelled"] for run in runs]


def test_a_newer_commit_s_run_cancels_the_older_one_s(make_check: MakeCheck) -> None:
    older, newer = make_check(OLD), make_check(NEW)
    first = occupy(older)
    started = older.start(), newer.start()  # both were asked for before either run began

    assert cancelled(newer, first, *started) == [False, True, False]


@pytest.mark.parametrize("ended", [False, True])
def test_an_older_commit_s_run_that_begins_late_gives_way(
    make_check: MakeCheck, ended: bool
) -> None:
    older, newer = make_check(OLD), make_check(NEW)
    occupy(older)
    newest = newer.start()
    if ended:
        newer.server.request("POST", f"runs/{newest}/cancel/")

    assert cancelled(older, older.start(), newest) == [True, ended]


def test_runs_of_the_same_commit_and_of_other_pull_requests_go_on(make_check: MakeCheck) -> None:
    same, other, newest = make_check(NEW), make_check(OLD, number=8), make_check(NEW)
    occupy(same)
    occupied_too = other.server.trigger(github_pull_request_id=8, steps_override=[BUILD])
    started = same.start(), other.start(), newest.start()

    assert cancelled(newest, occupied_too, *started) == [False] * 4


def test_what_dbt_cloud_had_started_before_is_older(make_check: MakeCheck) -> None:
    first = occupy(make_check(OLD))
    newest = make_check(NEW)

    assert cancelled(newest, newest.start(), first) == [False, True]


def test_a_closed_pull_request_keeps_none(make_check: MakeCheck) -> None:
    older, newer, closing = make_check(OLD), make_check(NEW), make_check(None)
    occupy(older)
    started = older.start(), newer.start(), closing.start()

    assert cancelled(closing, *started) == [True, True, False]

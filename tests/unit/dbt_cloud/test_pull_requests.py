"""Tests of pull request checks, of which only the newest commit's run continues."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from include.dbt_cloud.api.artifacts import Node
from include.dbt_cloud.pull_requests import (
    DbtCloudCheckPullRequestOperator,
    asked_at_in,
    findings,
    is_of_other_commit,
    outcomes,
)
from tests.bundled import DAILY_BUILD
from tests.unit.dbt_cloud.conftest import BUILD, MakeTask, Task

OLD, NEW = "1" * 40, "2" * 40
MakeCheck = Callable[..., Task]


@pytest.fixture
def make_check(make_task: MakeTask, held_warehouse: None) -> MakeCheck:
    """Create checks that are requested in the order of their creation."""

    def make(git_sha: str | None, number: int = 7) -> Task:
        names = {"github_pull_request_id": number, "git_sha": git_sha}
        return make_task(BUILD, kind=DbtCloudCheckPullRequestOperator, additional_run_config=names)

    return make


def occupy(task: Task) -> int:
    """Start a run outside Airflow that holds up the pull request's other runs.

    It waits for the warehouse, and starts after the checks were requested.
    """
    run_id = task.server.trigger(DAILY_BUILD, github_pull_request_id=7, steps_override=[BUILD])
    task.server.wait(run_id, until={3})
    return run_id


def cancelled(task: Task, *run_ids: int) -> list[bool]:
    runs: list[dict[str, Any]] = [task.server.get(f"runs/{run_id}/") for run_id in run_ids]
    return [run["is_cancelled"] for run in runs]


def test_check_of_a_newer_commit_cancels_that_of_the_older_one(make_check: MakeCheck) -> None:
    older, newer = make_check(OLD), make_check(NEW)
    first = occupy(older)
    started = older.start(), newer.start()  # both requested before either run

    assert cancelled(newer, first, *started) == [False, True, False]


@pytest.mark.parametrize("ended", [False, True])
def test_check_of_an_older_commit_that_starts_late_is_cancelled(
    make_check: MakeCheck, ended: bool
) -> None:
    older, newer = make_check(OLD), make_check(NEW)
    occupy(older)
    newest = newer.start()
    if ended:
        newer.server.request("POST", f"runs/{newest}/cancel/")

    assert cancelled(older, older.start(), newest) == [True, ended]


def test_check_keeps_runs_of_its_commit_and_of_other_pull_requests(make_check: MakeCheck) -> None:
    same, other, newest = make_check(NEW), make_check(OLD, number=8), make_check(NEW)
    occupy(same)
    occupied_too = other.server.trigger(
        DAILY_BUILD, github_pull_request_id=8, steps_override=[BUILD]
    )
    started = same.start(), other.start(), newest.start()

    assert cancelled(newest, occupied_too, *started) == [False] * 4


def test_check_cancels_a_run_that_dbt_cloud_started_earlier(make_check: MakeCheck) -> None:
    first = occupy(make_check(OLD))
    newest = make_check(NEW)

    assert cancelled(newest, newest.start(), first) == [False, True]


def test_check_of_a_closed_pull_request_cancels_all_others(make_check: MakeCheck) -> None:
    older, newer, closing = make_check(OLD), make_check(NEW), make_check(None)
    occupy(older)
    started = older.start(), newer.start(), closing.start()

    assert cancelled(closing, *started) == [True, True, False]


def test_findings_list_each_node_once_with_its_last_outcome() -> None:
    run = {"status_humanized": "Error", "git_sha": None, "href": "https://dbt/7"}
    nodes = [
        Node("model.shop.orders", "success", 1.0, "", 4),
        Node("model.shop.orders", "error", 1.0, "", 5),
        Node("model.erp.orders", "success", 1.0, "", 5),
        Node("model.shop.stores", "success", 1.0, "", 5),
        Node("test.shop.unique_orders.a1b2c3d4e5", "fail", 1.0, "", 5),
    ]

    found = findings(
        run, outcomes(nodes), {"model.erp.products", "seed.erp.rates", "seed.shop.rates"}
    )

    assert found == {
        "status": "Error",
        "commit": None,
        "url": "https://dbt/7",
        "built": ["erp.orders", "stores"],
        "deferred": ["erp.rates", "products", "shop.rates"],
        "failed_tests": ["unique_orders"],
        "failed_models": ["shop.orders"],
    }


@pytest.mark.parametrize(
    ("of_run", "number", "is_other"),
    [
        ({"github_pull_request_id": 7, "git_sha": OLD}, "7", True),
        ({"github_pull_request_id": "7", "git_sha": OLD}, 7, True),
        ({"github_pull_request_id": 7, "git_sha": OLD}, " 7", True),
        ({"github_pull_request_id": 7, "git_sha": NEW}, "7", False),
        ({"github_pull_request_id": 7, "git_sha": NEW.upper()}, 7, False),
        ({"github_pull_request_id": 70, "git_sha": OLD}, "7", False),
        ({"github_pull_request_id": None, "git_sha": OLD}, "7", False),
        ({"gitlab_merge_request_id": 7, "git_sha": OLD}, "7", False),
        ({"git_sha": OLD}, "7", False),
        (None, "7", False),
    ],
)
def test_is_of_other_commit_compares_pull_request_ids_as_text(
    of_run: dict[str, Any] | None, number: Any, is_other: bool
) -> None:
    check = {"github_pull_request_id": number, "gitlab_merge_request_id": None, "git_sha": NEW}

    assert is_of_other_commit({"trigger": of_run}, check) is is_other


def test_is_of_other_commit_is_false_without_a_pull_request() -> None:
    assert not is_of_other_commit({"trigger": {"git_sha": OLD}}, {"git_sha": NEW})


@pytest.mark.parametrize(
    ("cause", "moment"),
    [
        ("Asked for at 2026-11-26T10:00:00+00:00, Airflow", datetime(2026, 11, 26, 10, tzinfo=UTC)),
        ("Asked for at 2026-11-26T10:00:00, without a time zone", None),
        ("Asked for at noon, by telephone", None),
        ("Asked for at", None),
        (None, None),
    ],
)
def test_asked_at_in_reads_only_what_this_operator_writes(
    cause: str | None, moment: datetime | None
) -> None:
    assert asked_at_in({"trigger": {"cause": cause}}) == moment
    assert asked_at_in({"trigger": None}) is None

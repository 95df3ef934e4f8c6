"""Which runs a newer commit of a pull request cancels."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from include.dbt_cloud.pull_requests import cancel_older_runs
from tests.running_dbt_cloud import DAILY_BUILD, RunningDbtCloud

OLD, NEW = "1" * 40, "2" * 40
NUMBER = {"github_pull_request_id": 7}


@pytest.fixture
def runs(dbt_cloud_connection: RunningDbtCloud, held_warehouse: None) -> Iterator[dict[str, int]]:
    """One that waits for the warehouse, and four behind it or beside it."""

    def start(**overrides: Any) -> int:
        return dbt_cloud_connection.trigger(steps_override=["dbt build"], **overrides)

    runs = {"first": start(**NUMBER)}
    dbt_cloud_connection.wait(runs["first"], until={3})
    runs["old"] = start(**NUMBER, git_sha=OLD)
    runs["new"] = start(**NUMBER, git_sha=NEW)
    runs["other pull request"] = start(github_pull_request_id=8)
    runs["none"] = start()
    yield runs
    for run_id in reversed(runs.values()):
        dbt_cloud_connection.request("POST", f"runs/{run_id}/cancel/")


def cancelled(server: RunningDbtCloud, runs: dict[str, int]) -> set[str]:
    return {name for name, run_id in runs.items() if server.get(f"runs/{run_id}/")["status"] == 30}


def test_the_runs_of_other_commits_are_cancelled(
    dbt_cloud_connection: RunningDbtCloud, runs: dict[str, int]
) -> None:
    ids = cancel_older_runs(DAILY_BUILD, NUMBER, NEW, datetime.now(UTC))

    assert ids == [runs["old"], runs["first"]]
    assert cancelled(dbt_cloud_connection, runs) == {"first", "old"}


def test_a_closed_pull_request_keeps_none(
    dbt_cloud_connection: RunningDbtCloud, runs: dict[str, int]
) -> None:
    cancel_older_runs(DAILY_BUILD, NUMBER, None, datetime.now(UTC))

    assert cancelled(dbt_cloud_connection, runs) == {"first", "old", "new"}


def test_runs_that_began_later_check_a_newer_commit(
    dbt_cloud_connection: RunningDbtCloud, runs: dict[str, int]
) -> None:
    before = datetime.now(UTC) - timedelta(hours=1)

    assert cancel_older_runs(DAILY_BUILD, NUMBER, OLD, before) == []

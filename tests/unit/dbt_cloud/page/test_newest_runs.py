"""Tests of the newest runs, which are cached for five seconds and kept in an outage."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from include.dbt_cloud.api.accounts import Account
from include.dbt_cloud.api.client import DbtCloudClient
from include.dbt_cloud.page.newest_runs import SECONDS, NewestRuns
from include.local_dbt_cloud.testing import LocalDbtCloud
from tests.bundled import BUILD_AFTER_LOAD
from tests.unit.dbt_cloud.conftest import go_well, go_wrong

CONN_ID = "dbt_cloud_default"


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the paths of the client's calls."""
    made: list[str] = []
    get = DbtCloudClient.get

    def counted(client: DbtCloudClient, path: str, **params: Any) -> Any:
        made.append(path)
        return get(client, path, **params)

    monkeypatch.setattr(DbtCloudClient, "get", counted)
    return made


@pytest.fixture
def run_id(dbt_cloud_connection: LocalDbtCloud) -> Iterator[int]:
    run_id = dbt_cloud_connection.trigger(BUILD_AFTER_LOAD, steps_override=["dbt deps"])
    dbt_cloud_connection.wait(run_id)
    yield run_id
    go_well(dbt_cloud_connection)


def test_newest_runs_caches_an_answer_for_five_seconds(run_id: int, calls: list[str]) -> None:
    clock = Clock()
    newest_runs = NewestRuns(CONN_ID, clock=clock)

    first = newest_runs.read()
    clock.now += SECONDS - 0.1
    assert newest_runs.read() is first
    clock.now += 0.2
    second = newest_runs.read()

    assert first.runs[0]["id"] == run_id
    assert first.runs[0]["job"]["name"] == "Build after load"
    assert first.runs[0]["trigger"]["cause"] == "test"
    assert (second is first, second.problem) == (False, "")
    assert calls.count("runs/") == 2


def test_newest_runs_makes_one_call_for_concurrent_viewers(run_id: int, calls: list[str]) -> None:
    newest_runs, together = NewestRuns(CONN_ID), threading.Barrier(10)

    def look(_: int) -> int:
        together.wait()
        return int(newest_runs.read().runs[0]["id"])

    with ThreadPoolExecutor(10) as viewers:
        seen = set(viewers.map(look, range(10)))

    assert (seen, calls) == ({run_id}, ["runs/", "projects/", "jobs/"])


def test_newest_runs_keeps_the_last_runs_during_an_outage(
    run_id: int, dbt_cloud_connection: LocalDbtCloud, calls: list[str]
) -> None:
    clock = Clock()
    newest_runs = NewestRuns(CONN_ID, clock=clock)
    before = newest_runs.read()
    go_wrong(dbt_cloud_connection, "503", path="*/runs")
    clock.now += 2 * SECONDS

    recent = newest_runs.read()

    assert (recent.runs, recent.listed) == (before.runs, before.listed)
    assert recent.problem == "dbt Cloud returned 503"
    assert newest_runs.read() is recent  # a failed result has the same lifetime
    go_well(dbt_cloud_connection)
    clock.now += 2 * SECONDS
    assert newest_runs.read().problem == ""
    assert calls.count("runs/") == 3


def test_newest_runs_reports_a_missing_connection() -> None:
    recent = NewestRuns("dbt_cloud_missing").read()

    assert (recent.account, recent.runs) == (None, [])
    assert "dbt_cloud_missing" in recent.problem


def test_newest_runs_drops_the_runs_of_a_former_account(
    run_id: int, dbt_cloud_connection: LocalDbtCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The previous account's runs must not be shown for an unavailable account."""
    clock = Clock()
    newest_runs = NewestRuns(CONN_ID, clock=clock)
    first = newest_runs.read()
    fields = json.loads(dbt_cloud_connection.connection) | {"login": "7"}
    monkeypatch.setenv("AIRFLOW_CONN_DBT_CLOUD_DEFAULT", json.dumps(fields))
    clock.now += 2 * SECONDS

    second = newest_runs.read()

    host = dbt_cloud_connection.host
    assert first.account == Account(host, dbt_cloud_connection.account_id)
    assert run_id in [run["id"] for run in first.runs]
    assert (second.account, second.runs) == (Account(host, 7), [])
    assert (bool(first.listed.jobs), second.listed.jobs) == (True, {})
    assert second.problem


def test_newest_runs_names_the_account_during_an_outage(
    run_id: int, dbt_cloud_connection: LocalDbtCloud
) -> None:
    go_wrong(dbt_cloud_connection, "503", path="*/runs")

    recent = NewestRuns(CONN_ID).read()

    account = Account(dbt_cloud_connection.host, dbt_cloud_connection.account_id)
    assert (recent.account, recent.runs) == (account, [])
    assert recent.problem == "dbt Cloud returned 503"

"""The page of a run while it is active, with a real run and in Chromium."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from include.dbt_cloud.api.accounts import Account
from include.dbt_cloud.page.accounts import ShownAccount
from include.dbt_cloud.page.live_run import LiveRun, read_live_run
from include.dbt_cloud.page.newest_runs import RecentRuns
from include.local_dbt_cloud.pytest_plugin import MakeLocalDbtCloud
from include.local_dbt_cloud.testing import LocalDbtCloud
from tests.bundled import DAILY_BUILD
from tests.contract.slow_project import write_slow_project
from tests.pictures.browser import Page, needs_browser
from tests.unit.dbt_cloud.events.conftest import airflow_s_tables, database_url
from tests.unit.dbt_cloud.page.test_app import MakeClient, kept, make_client
from tests.unit.dbt_cloud.page.test_job_table import LOOKS
from tests.unit.dbt_cloud.page.test_static import page, serve, use
from tests.waiting import eventually

__all__ = ["airflow_s_tables", "database_url", "kept", "make_client", "page"]
WAIT = "{{ config(materialized='table') }} select sleep_ms(60000) as id from {{ ref('one') }}"
CONN_ID = "dbt_cloud_default"
BUSY = "document.querySelector('.gantt rect.running')"
SECONDS = "document.querySelector('#n1 [data-is=seconds]').textContent"
TABLE = """[...document.querySelectorAll('.nodes tbody tr')]
    .map(row => `${row.cells[0].textContent} ${row.cells[1].textContent}`)"""


@pytest.fixture
def server(
    make_local_dbt_cloud: MakeLocalDbtCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> LocalDbtCloud:
    (tmp_path / "project").mkdir()
    project = write_slow_project(tmp_path / "project")
    Path(project, "models", "wait.sql").write_text(WAIT)
    server = make_local_dbt_cloud("--dbt-project", project)
    monkeypatch.setenv("AIRFLOW_CONN_DBT_CLOUD_DEFAULT", server.connection)
    return server


@pytest.fixture
def run_id(server: LocalDbtCloud) -> Iterator[int]:
    """Yield a run that has built a model, and builds another one for a minute."""
    run_id = server.trigger(DAILY_BUILD, steps_override=["dbt run"])
    eventually(lambda: "2 of 2 START" in log_of(server, run_id), "the second model starts")
    yield run_id
    server.request("POST", f"runs/{run_id}/cancel/")


def log_of(server: LocalDbtCloud, run_id: int) -> str:
    steps = server.get(f"runs/{run_id}/", include_related="run_steps")["run_steps"]
    return "".join(step["logs"] or "" for step in steps)


def shown(account: Account) -> ShownAccount:
    return ShownAccount(CONN_ID, RecentRuns(account=account), None, "")


@needs_browser
def test_chart_grows_during_the_run(
    server: LocalDbtCloud, run_id: int, make_client: MakeClient, page: Page
) -> None:
    with serve(make_client(dbt_cloud_conn_id=CONN_ID).app) as address:
        for width, theme in LOOKS:
            use(page, width, theme)
            page.open(
                f"{address}jobs/{DAILY_BUILD}/runs/{run_id}", "1 node has ended, 1 is running"
            )

            assert page.evaluate("document.documentElement.scrollWidth") == width
            assert page.evaluate(f"{BUSY}.getBoundingClientRect().width") > 0
            assert page.least_contrast() >= 4.5
        before = float(page.evaluate(SECONDS))
        eventually(lambda: float(page.evaluate(SECONDS)) > before, "the seconds count up")

        assert page.evaluate(TABLE) == ["analytics.one success", "analytics.wait running"]


def test_run_is_read_once_for_all_viewers(server: LocalDbtCloud) -> None:
    run_id = server.trigger(DAILY_BUILD, steps_override=["dbt parse"])
    server.wait(run_id)
    account = Account(server.host, server.account_id)

    first = read_live_run(shown(account), run_id)

    assert first.timeline
    assert [step.name for step in first.timeline.steps][-1] == "Invoke dbt with `dbt parse`"
    assert read_live_run(shown(account), run_id) is first


def test_run_that_cannot_be_read_has_a_problem(server: LocalDbtCloud) -> None:
    account = Account(server.host, server.account_id)

    found = read_live_run(shown(account), 987)

    assert found == LiveRun(problem=found.problem)
    assert found.problem.startswith("dbt Cloud returned 404: The requested resource was not found.")

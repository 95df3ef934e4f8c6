"""Tests of the list of jobs: its filters and order, and its page and a job's page in Chromium."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
from airflow.sdk import ObjectStoragePath

from include.dbt_cloud.api.accounts import Account
from include.dbt_cloud.api.artifacts import Node
from include.dbt_cloud.page.content import Overview
from include.dbt_cloud.page.job import Job
from include.dbt_cloud.page.job_list import JobSettings
from include.dbt_cloud.page.job_table import COLUMNS, JobTable, View
from include.dbt_cloud.page.runs import Run
from include.dbt_cloud.reports.history import History
from include.dbt_cloud.reports.results import Results
from include.local_dbt_cloud.testing import LocalDbtCloud
from tests.pictures.browser import Page, needs_browser
from tests.unit.dbt_cloud.events.conftest import airflow_s_tables, database_url
from tests.unit.dbt_cloud.page.test_app import MakeClient, make_client
from tests.unit.dbt_cloud.page.test_content import DAILY, run
from tests.unit.dbt_cloud.page.test_static import EVIL, page, serve, use
from tests.unit.dbt_cloud.page.test_templates import shown

__all__ = ["airflow_s_tables", "database_url", "make_client", "page"]
JOBS = 60
STATUSES = (10, 10, 10, 20, 10, 30, 10, 10)
LONG_NAME = "stg_" + "very_long_name_" * 5


def times(started: datetime, seconds: float) -> dict[str, Any]:
    created, finished = started - timedelta(seconds=20), started + timedelta(seconds=seconds)
    return {
        "created_at": created.isoformat(),
        "started_at": started.isoformat(),
        "finished_at": finished.isoformat(),
    }


def keep_jobs(history: History) -> None:
    """Store up to 31 runs of each job, the last one of some failed, cancelled or running."""
    for number in range(JOBS):
        for place in range(1 + number % 31):
            status = STATUSES[(number * 3 + place) % len(STATUSES)]
            seconds = 0.4 if status == 20 else 40.0 + 9 * ((number + place) % 7)
            started = datetime(2026, 10, 1 + place, number % 24, 30, tzinfo=UTC)
            more: dict[str, Any] = {
                "status": status,
                "job": {"name": f"{('Load', 'Build', 'Publish')[number % 3]} shop {number}"},
                "project_id": 36467 + number % 2,
                "environment_id": 29118,
                "trigger": {"cause": "Kicked off from UI by ada@example.com"},
                **times(started, seconds),
            }
            if number % 9 == 8 and place == number % 31:
                more |= {"status": 3, "finished_at": None}
            run_id = 10_000 + 100 * place + number
            history.keep(Results(run(run_id, 100 + number, **more), []))


def keep_daily(history: History) -> None:
    """Store 35 runs of a job, some with failures, the last with an unusual model."""
    for place in range(35):
        status = 20 if place in (5, 20, 34) else 30 if place == 12 else 10
        failed = status == 20
        nodes = [
            Node(
                "model.shop.orders",
                "success",
                0.8 if place == 34 else 0.28 + place % 3 / 100,
                "",
                4,
            ),
            Node("model.shop.customers", "success", 9.0 if place == 34 else 2.0, "", 4),
            Node(f"model.shop.{LONG_NAME}", "success", 1.0 + place % 4, "", 4),
            Node("model.shop.new", "success", 1.0, "", 4) if place == 34 else None,
            Node("test.shop.unique_orders.a1", "fail" if failed else "pass", 0.1, EVIL, 4),
            Node(f"test.shop.{LONG_NAME}.a2", "warn" if place % 4 == 3 else "pass", 0.1, "", 4),
            Node(
                "model.shop.late",
                "error" if place == 5 else "skipped" if failed else "success",
                1.0,
                "LINE 7",
                4,
            ),
        ]
        started = datetime(2026, 10, 1, 6, tzinfo=UTC) + timedelta(days=place)
        more = times(started, 0.4 if place == 20 else 60.0 + 7 * (place % 9))
        cause = {"cause": EVIL} if place == 34 else {"cause": "scheduled"}
        more |= {"trigger": cause, "status_message": EVIL if failed else None}
        found = [one for one in nodes if one]
        history.keep(Results(run(20_000 + place, DAILY, status, **more), found))


@pytest.fixture(scope="module")
def stored(local_dbt_cloud: LocalDbtCloud, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the stored runs of all jobs."""
    folder = tmp_path_factory.mktemp("stored")
    account = Account(local_dbt_cloud.host, local_dbt_cloud.account_id)
    history = History(account.folder_below(ObjectStoragePath(f"file://{folder}")))
    keep_jobs(history)
    keep_daily(history)
    return folder


@pytest.fixture
def kept(stored: Path, tmp_path: Path) -> ObjectStoragePath:
    copytree(stored, tmp_path / "history")
    return ObjectStoragePath(f"file://{tmp_path}/history")


@pytest.fixture
def address(make_client: MakeClient, dbt_cloud_connection: LocalDbtCloud) -> Iterator[str]:
    """Yield the page's address; dbt Cloud lists jobs that have never run."""
    with serve(make_client(dbt_cloud_conn_id="dbt_cloud_default").app) as address:
        yield address


def job(job_id: int, name: str = "", status: int = 10, project: str = "Shop", **more: Any) -> Job:
    settings = JobSettings(name or f"Job {job_id}", project, "Production")
    return Job(job_id, [Run.of(run(job_id, job_id, status, **more), {})], settings)


NEVER = Job(9, [], JobSettings("Weekly", "Finance", "Staging", starts="Schedule"))
SLOW: dict[str, Any] = {"finished_at": "2026-11-25 11:00:00+00:00"}
ALL = [job(3, "c", 20), job(2, "B", **SLOW), job(1, "a"), NEVER]


def ids(view: View) -> list[int]:
    return [one.id for one in view.rows(ALL)]


@pytest.mark.parametrize(
    ("parameters", "found"),
    [
        ({}, [3, 2, 1, 9]),
        ({"state": "success"}, [2, 1]),
        ({"state": "never run"}, [9]),
        ({"project": "Shop", "name": "C"}, [3]),
        ({"environment": "Staging"}, [9]),
        ({"state": "error", "project": "Finance"}, []),
        ({"state": "Error"}, []),
        ({"sort": "nothing"}, [3, 2, 1, 9]),
        ({"state": " success ", "sort": "name", "other": "x"}, [1, 2]),
    ],
)
def test_view_shows_the_jobs_that_match_all_filters(
    parameters: dict[str, str], found: list[int]
) -> None:
    assert ids(View.of(parameters)) == found


@pytest.mark.parametrize(
    ("sort", "found"),
    [
        ("name", [1, 2, 3, 9]),
        ("-name", [9, 3, 2, 1]),
        ("project", [9, 3, 2, 1]),
        ("state", [3, 2, 1, 9]),
        ("run", [1, 2, 3, 9]),
        ("-run", [3, 2, 1, 9]),
        ("duration", [3, 1, 2, 9]),
        ("-duration", [2, 3, 1, 9]),
        ("success", [3, 2, 1, 9]),
        ("-success", [2, 1, 3, 9]),
        ("next", [3, 2, 1, 9]),
        ("starter", [3, 2, 1, 9]),
    ],
)
def test_view_sorts_by_each_column_with_missing_values_last(sort: str, found: list[int]) -> None:
    assert ids(View(sort=sort)) == found
    assert sort.removeprefix("-") in COLUMNS


def test_view_keeps_its_parameters_in_links() -> None:
    view = View(connection="eu", name="a&b", sort="name")

    assert view.link() == "?connection=eu&name=a%26b&sort=name"
    assert view.sorted_by("name") == "?connection=eu&name=a%26b&sort=-name"
    assert view.sorted_by("run") == "?connection=eu&name=a%26b&sort=run"
    assert [view.order_of(one) for one in ("name", "run")] == ["ascending", "none"]
    assert View(sort="-run").order_of("run") == "descending"
    assert View(sort="run").link(sort="") == "./"


def test_job_table_offers_the_values_of_its_jobs_and_names_unknown_ones() -> None:
    overviews = [Overview(shown(), ALL)]

    table = JobTable.of(View(state="running", environment="Staging"), overviews)

    assert table.options["state"] == ["error", "never run", "success"]
    assert table.options["project"] == ["Finance", "Shop"]
    assert table.problems == ["No job has the state running."]
    assert JobTable.of(View(), overviews).problems == []


TOO_SMALL = """[...document.querySelectorAll('main svg use, main svg rect')]
    .filter(one => !one.closest('defs') && one.getBoundingClientRect().width < 1).length"""
LOOKS = [(1280, "light"), (1280, "dark"), (400, "light"), (400, "dark")]


@needs_browser
def test_jobs_and_job_pages_fit_the_window_in_both_themes(address: str, page: Page) -> None:
    for width, theme in LOOKS:
        use(page, width, theme)
        for path, text in (("", "74 of 74 jobs"), (f"jobs/{DAILY}", "What has failed")):
            page.open(f"{address}{path}", text)

            assert page.evaluate("document.documentElement.scrollWidth") == width
            ground = "rgb(17, 19, 24)" if theme == "dark" else "rgb(255, 255, 255)"
            assert page.evaluate("getComputedStyle(document.body).backgroundColor") == ground
            assert page.evaluate(TOO_SMALL) == 0
            assert page.evaluate("document.title") != "taken over"


@needs_browser
def test_jobs_page_filters_and_keeps_the_view_in_its_address(address: str, page: Page) -> None:
    use(page, 400)
    page.open(address, "74 of 74 jobs")

    page.fill_in("name", "finance")
    page.evaluate("document.querySelector('.filter button').click()")
    page.wait_for("Show all jobs", "Another job's run")
    page.evaluate("document.querySelector('th[aria-sort] a').click()")
    page.wait_for("Job ↑")

    assert "name=finance&sort=name" in page.evaluate("location.search")
    names = "[...document.querySelectorAll('tbody th')].map(one => one.textContent)"
    assert page.evaluate(names) == [
        "Finance build",
        "finance_orders",
        "finance_staging",
        "finance_stores",
    ]


@needs_browser
def test_refresh_keeps_the_filter_that_is_being_typed(
    address: str, page: Page, kept: ObjectStoragePath, dbt_cloud_connection: LocalDbtCloud
) -> None:
    use(page)
    page.open(address, "74 of 74 jobs")
    page.fill_in("name", "fin")
    account = Account(dbt_cloud_connection.host, dbt_cloud_connection.account_id)

    History(account.folder_below(kept)).keep(Results(run(9, 7, job={"name": "Brand new"}), []))

    page.wait_for("75 of 75 jobs", "Brand new")
    assert page.evaluate("document.querySelector('input[name=name]').value") == "fin"


@needs_browser
def test_job_page_shows_the_newest_runs_first_in_a_narrow_window(address: str, page: Page) -> None:
    use(page, 400)
    page.open(f"{address}jobs/{DAILY}", "What has failed")

    newest = "document.querySelector('.heat tbody tr').lastElementChild.getBoundingClientRect()"
    oldest = "document.querySelector('.heat tbody td').getBoundingClientRect()"
    name = "document.querySelector('.heat tbody th').getBoundingClientRect()"

    assert 0 < page.evaluate(f"{newest}.left") < 400
    assert page.evaluate(f"{newest}.right") <= 400
    assert page.evaluate(f"{oldest}.left") < 0
    assert page.evaluate(f"{name}.left") >= 0  # the name stays
    assert "Nov 4, 2026" in page.evaluate("document.querySelector('.heat thead tr').innerText")


@needs_browser
def test_job_page_draws_state_apart_from_duration(address: str, page: Page) -> None:
    use(page)
    page.open(f"{address}jobs/{DAILY}", "Run times")

    short = "[...document.querySelectorAll('.durations g')][20]"
    sizes = page.evaluate(
        f"[...{short}.querySelectorAll('use, rect')].map(one => one.getBoundingClientRect().height)"
    )

    assert "Run 20020: error, 0.4 s" in page.evaluate(f"{short}.textContent")
    assert sizes == [16, 1]
    ticks = "[...document.querySelectorAll('.durations .tick')].map(one => one.textContent)"
    assert page.evaluate(ticks) == ["0 s", "30 s", "1 min", "1.5 min"]


@needs_browser
@pytest.mark.parametrize("path", ["?sort=name", f"jobs/{DAILY}"])
def test_times_are_in_the_zone_of_the_browser(address: str, page: Page, path: str) -> None:
    use(page)
    page.open(f"{address}{path}", "Daily build")

    time = "[...document.querySelectorAll('time')].find(one => one.title.startsWith('2026-11-04'))"

    assert page.evaluate(f"{time}.title") == "2026-11-04 06:00 UTC"
    assert "Nov 4, 2026, 3:00" in page.evaluate(f"{time}.textContent")

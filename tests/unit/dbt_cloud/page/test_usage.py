"""Tests of the page "Usage": its choices, the CSV file, and how it looks in Chromium."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

import pytest
from airflow.sdk import ObjectStoragePath
from fastapi.testclient import TestClient

from include.dbt_cloud.api.artifacts import Node
from include.dbt_cloud.page.accounts import ShownAccount
from include.dbt_cloud.page.newest_runs import RecentRuns
from include.dbt_cloud.page.usage import AccountUsage, Choice, as_text, usage_of
from include.dbt_cloud.reports.history import RUNS_PER_JOB, History
from include.dbt_cloud.reports.results import Results
from tests.pictures.browser import Page, needs_browser
from tests.unit.dbt_cloud.events.conftest import airflow_s_tables, database_url
from tests.unit.dbt_cloud.page.test_app import (
    ACCOUNT,
    CONN_ID,
    NAMES,
    OTHER,
    OTHER_ID,
    MakeClient,
    client,
    history,
    kept,
    make_client,
    two_accounts,
)
from tests.unit.dbt_cloud.page.test_content import DAILY, HOURLY, run
from tests.unit.dbt_cloud.page.test_static import page, serve, use

__all__ = ["airflow_s_tables", "client", "database_url", "history", "kept", "make_client"]
__all__ += ["page", "two_accounts"]
ORDERS, STORES = "model.shop.orders", "model.shop.stores"
SHOP, FINANCE = 36467, 7
EVIL = "=HYPERLINK(\"http://evil\")<script>alert('x')</script>"


def keep(history: History, run_id: int, month: str, job_id: int = DAILY, **seconds: float) -> None:
    nodes = [Node(f"model.shop.{name}", "success", took, "", 4) for name, took in seconds.items()]
    nodes.append(Node("model.shop.rates", "reused", 0.0, "", 4))
    one = run(run_id, job_id, started_at=f"{month}-25 10:00:00+00:00")
    if job_id == HOURLY:
        one |= {"project_id": FINANCE, "job": {"name": "Rates"}}
    history.keep(Results(one, nodes))


def keep_two_months(history: History) -> None:
    """Store October with 2 models, November with 3 of one project and 1 of another."""
    keep(history, 1, "2026-10", orders=2.0, stores=1.0)
    keep(history, 2, "2026-11", orders=2.5, stores=1.0)
    keep(history, 3, "2026-11", orders=3.0)
    keep(history, 4, "2026-11", HOURLY, rates=60.0)


def usage(history: History, choice: Choice | None = None) -> AccountUsage:
    recent = RecentRuns(account=ACCOUNT)
    (one,) = usage_of([ShownAccount(CONN_ID, recent, history, "")], choice or Choice())
    return one


def rows(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text)))


def test_usage_shows_the_newest_month_by_default(history: History) -> None:
    keep_two_months(history)

    found = usage(history)

    assert {month: (one.built, one.reused) for month, one in found.months.items()} == {
        "2026-11": (4, 3),
        "2026-10": (2, 1),
    }
    assert {key: (one.built, one.seconds) for key, one in found.by_job.items()} == {
        (DAILY, SHOP): (3, 6.5),
        (HOURLY, FINANCE): (1, 60.0),
    }
    assert [(one.unique_id, one.seconds) for one in found.slowest[:2]] == [
        ("model.shop.rates", 60.0),
        (ORDERS, 5.5),
    ]
    assert [(one.unique_id, one.built) for one in found.most_built[:2]] == [
        (ORDERS, 2),
        ("model.shop.rates", 1),
    ]


def test_usage_of_a_chosen_month_and_project(history: History) -> None:
    keep_two_months(history)

    october, finance = usage(history, Choice("2026-10")), usage(history, Choice(project=FINANCE))

    assert [(one.unique_id, one.built) for one in october.slowest[:2]] == [(ORDERS, 1), (STORES, 1)]
    assert [*finance.months] == ["2026-11"]
    assert [*finance.by_job] == [(HOURLY, FINANCE)]


def test_usage_sorts_an_unknown_month_last(history: History) -> None:
    keep_two_months(history)
    never: dict[str, Any] = {"created_at": None, "started_at": None}
    history.keep(Results(run(5, **never), [Node(ORDERS, "success", 1.0, "", 4)]))

    found = usage(history)

    assert [*found.months] == ["2026-11", "2026-10", "unknown"]
    assert found.choice.month == "2026-11"


def test_usage_page_links_months_projects_and_models(client: TestClient, history: History) -> None:
    keep_two_months(history)

    text = client.get(f"usage?month=2026-10&project={SHOP}").text

    assert f'<a href="./usage?month=2026-11&amp;project={SHOP}">2026-11</a>' in text
    assert f'<a href="./usage?month=2026-10&amp;project={SHOP}" aria-current="true">' in text
    assert f'<a href="./usage?month=2026-10&amp;project={FINANCE}">{FINANCE}</a>' in text
    assert '<a href="./usage?month=2026-10">all</a>' in text
    assert f'<a href="./jobs/{DAILY}/model?id=model.shop.orders">orders</a>' in text
    assert f'<a href="./jobs/{DAILY}">Daily build</a>' in text
    assert f'href="./usage.csv?month=2026-10&amp;project={SHOP}"' in text
    assert '<a href="./usage">Usage</a>' in client.get("").text


@pytest.mark.parametrize("month", ["2031-01", "x", EVIL, "\x00", "é" * 2000])
def test_usage_page_of_a_month_without_runs_shows_this(
    client: TestClient, history: History, month: str
) -> None:
    keep_two_months(history)

    answer = client.get("usage", params={"month": month})

    assert answer.status_code == 200
    assert "The stored runs of this month and project have built no models." in answer.text
    assert "<script>alert" not in answer.text
    assert rows(client.get("usage.csv", params={"month": month}).text)[1:] == []


@pytest.mark.parametrize("query", ["project=x", "project=-1", "project=" + "9" * 30])
@pytest.mark.parametrize("path", ["usage", "usage.csv"])
def test_usage_page_returns_404_for_an_invalid_project(
    client: TestClient, path: str, query: str
) -> None:
    answer = client.get(f"{path}?{query}")

    assert answer.status_code == 404
    assert "the address has no valid id" in answer.text


def test_usage_page_escapes_names(client: TestClient, history: History) -> None:
    model = Node(f"model.shop.{EVIL}", "success", 1.0, "", 4)
    history.keep(Results(run(1, job={"name": EVIL}), [model]))

    text = client.get("usage").text

    assert "<script>alert" not in text
    assert text.count("&lt;script&gt;alert") == 5  # the job thrice, the model twice


def test_usage_page_lists_jobs_of_which_older_runs_are_deleted(
    client: TestClient, history: History
) -> None:
    for run_id in range(1, RUNS_PER_JOB + 1):
        keep(history, run_id, "2026-11")
    keep(history, 1, "2026-11", HOURLY)

    text = client.get("usage").text

    assert "since 200 runs of a job are stored. Jobs: Daily build</p>" in text


def test_usage_page_without_runs_and_without_models(client: TestClient, history: History) -> None:
    assert "No runs are stored yet." in client.get("usage").text

    history.keep(Results(run(1), []))
    (history.folder / str(DAILY) / "2.json").write_text("{")

    text = client.get("usage").text
    assert "The stored runs have built no models." in text
    assert "1 stored file cannot be read, and is not counted" in text


def test_csv_has_a_row_for_each_month_job_and_model(client: TestClient, history: History) -> None:
    keep_two_months(history)

    answer = client.get(f"usage.csv?month=2026-11&project={SHOP}")

    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    disposition = answer.headers["content-disposition"]
    assert disposition == 'attachment; filename="dbt_cloud_usage.csv"'
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    names = ["month", "host", "account", "project", "job", "job_name", "model"]
    fixed = ["2026-11", "localhost:1", "16173", f"{SHOP}", f"{DAILY}", "Daily build"]
    header, *found = rows(answer.text)
    assert header == [*names, "built", "reused", "seconds"]
    assert sorted(found) == [
        [*fixed, ORDERS, "2", "0", "5.5"],
        [*fixed, "model.shop.rates", "0", "2", "0.0"],
        [*fixed, STORES, "1", "0", "1.0"],
    ]
    assert len(rows(client.get("usage.csv").text)) == 1 + 7  # all months and projects


@pytest.mark.parametrize("first", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_csv_marks_a_formula_as_text(client: TestClient, history: History, first: str) -> None:
    name = f'{first}1,"2"\n3 größe \ud83d'
    model = Node(f"{ORDERS} \ud83d", "success", 1.0, "", 4)
    history.keep(Results(run(1, job={"name": name}), [model]))

    (_, row) = rows(client.get("usage.csv").text)

    assert row[5] == f'\'{first}1,"2"\n3 größe \ufffd'
    assert row[6] == f"{ORDERS} \ufffd"
    assert as_text("1" + first) == "1" + first


def test_usage_of_several_accounts_has_a_section_for_each(
    make_client: MakeClient, two_accounts: list[str], history_of_both: None
) -> None:
    both = make_client(dbt_cloud_conn_id=two_accounts)

    text, rates = both.get("usage").text, both.get(f"usage?connection={OTHER_ID}").text

    ours, theirs = text.split("<h2>Account 16173 on localhost:2</h2>")
    assert NAMES[0] in ours
    assert f'href="./jobs/{DAILY}/model?id=model.shop.orders&amp;connection={CONN_ID}"' in ours
    assert NAMES[1] in theirs
    assert NAMES[0] not in rates
    assert f"connection={OTHER_ID}" in rates
    assert [row[1] for row in rows(both.get("usage.csv").text)[1:]] == [
        "localhost:1",
        "localhost:2",
    ]
    assert len(rows(both.get(f"usage.csv?connection={OTHER_ID}").text)) == 2


def test_usage_of_an_unreadable_connection_is_an_error_and_not_a_smaller_file(
    make_client: MakeClient, two_accounts: list[str], history_of_both: None
) -> None:
    one = make_client(dbt_cloud_conn_id=["dbt_cloud_missing", OTHER_ID])

    answer = one.get("usage.csv")

    assert answer.status_code == 503
    assert "Could not read dbt_cloud_missing" in answer.text
    text = one.get("usage").text
    assert "Could not read which account to show: " in text
    assert NAMES[1] in text


@pytest.fixture
def history_of_both(two_accounts: list[str], kept: ObjectStoragePath) -> None:
    """Store a run with a model in each account."""
    for account, name in zip((ACCOUNT, OTHER), NAMES, strict=True):
        folder = History(account.folder_below(kept))
        folder.keep(Results(run(1, job={"name": name}), [Node(ORDERS, "success", 1.0, "", 4)]))


@pytest.fixture
def address(make_client: MakeClient, history: History) -> Iterator[str]:
    keep_two_months(history)
    long = "very_long_name_" * 8
    nodes = [Node(f"model.shop.{long}", "success", 1.0, "", 4)]
    history.keep(Results(run(9, 9, job={"name": long}), nodes))
    with serve(make_client().app) as root:
        yield f"{root}usage"


@needs_browser
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_usage_page_fits_the_window_in_both_themes(
    address: str, page: Page, width: int, theme: str
) -> None:
    use(page, width, theme)
    page.open(address, "Months", "Jobs in 2026-11")

    assert page.evaluate("document.documentElement.scrollWidth") == width
    ground = "rgb(17, 19, 24)" if theme == "dark" else "rgb(255, 255, 255)"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == ground
    bars = "[...document.querySelectorAll('.amount rect')]"
    sizes = page.evaluate(f"{bars}.map(one => one.getBoundingClientRect().width)")
    assert max(sizes) > width / 5
    most, october = sizes[:2]
    assert october == pytest.approx(most * 2 / 5, rel=0.01)  # models built


@needs_browser
def test_month_is_chosen_by_keyboard(address: str, page: Page) -> None:
    use(page, 400)
    page.open(address, "Jobs in 2026-11")

    page.evaluate("[...document.links].find(one => one.textContent === '2026-10').focus()")
    for kind in ("keyDown", "keyUp"):
        page.command("Input.dispatchKeyEvent", type=kind, key="Enter", text="\r")

    page.wait_for("Jobs in 2026-10")

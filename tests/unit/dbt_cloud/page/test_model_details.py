"""Tests of a model's page: its content, odd data, and how it looks in Chromium."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.sdk import ObjectStoragePath
from fastapi.testclient import TestClient
from msgspec.structs import replace

from include.dbt_cloud.api.artifacts import Node
from include.dbt_cloud.page.model_details import ModelDetails, model_details_of
from include.dbt_cloud.page.rendering import node_address
from include.dbt_cloud.reports.history import History
from include.dbt_cloud.reports.results import Results
from include.dbt_cloud.reports.timeline import stored_timeline
from tests.pictures.browser import Page, needs_browser
from tests.unit.dbt_cloud.events.conftest import airflow_s_tables, database_url
from tests.unit.dbt_cloud.page.test_app import (
    ACCOUNT,
    CONN_ID,
    OTHER,
    MakeClient,
    client,
    history,
    kept,
    make_client,
    two_accounts,
)
from tests.unit.dbt_cloud.page.test_content import DAILY, run
from tests.unit.dbt_cloud.page.test_static import page, serve, use
from tests.unit.dbt_cloud.reports.test_run_times import STEADY
from tests.unit.dbt_cloud.reports.test_timeline import node

__all__ = ["airflow_s_tables", "client", "database_url", "history", "kept", "make_client"]
__all__ += ["page", "two_accounts"]
MODEL = "model.shop.orders"
UNIQUE, NOT_NULL = "test.shop.unique_orders_id.a1", "test.shop.not_null_orders_id.b2"
EVIL = "model.shop.größe/../a.b\"><script>alert('x')</script>"
LONG = f"model.shop.{'very_long_name_' * 8}"
BEGIN = datetime(2026, 9, 1, 4, 5, tzinfo=UTC)


def keep(history: History, run_id: int, *nodes: Node, tested: str = MODEL, **more: Any) -> None:
    """Store a run; its tests are those of the model."""
    depends_on = {one: {"depends_on": {"nodes": [tested]}} for one in (UNIQUE, NOT_NULL)}
    results = Results(run(run_id % 60, **{"run_steps": [], **more, "id": run_id}), list(nodes))
    history.keep(results, stored_timeline(results, {"nodes": {tested: {}, **depends_on}}))


def keep_builds(history: History, seconds: list[float], model: str = MODEL) -> None:
    for run_id, took in enumerate(seconds, start=1):
        keep(history, run_id, node(model, 0, took), tested=model)


def details(history: History, unique_id: str = MODEL) -> ModelDetails:
    found = model_details_of(DAILY, unique_id, history)
    assert found
    return found


def path(unique_id: str, query: str = "") -> str:
    return node_address(f"jobs/{DAILY}/model", unique_id, query)


def test_details_mark_the_run_in_which_a_regression_began(history: History) -> None:
    """Run 4 failed, so the tenth build is run 11 and the first slow one run 12."""
    keep_builds(history, [*STEADY[:3], 10.0, *STEADY[3:], 13.0, 13.0, 14.0])
    keep(history, 4, node(MODEL, 0, 99, status="error"))

    found = details(history)

    assert {found.runs[place].id for place in found.regressions} == {12}
    (one,) = found.regressions.values()
    assert (one.before, one.after, one.builds) == (10.0, 13.0, 3)
    assert found.newest
    assert (found.newest.median, len(found.newest.history)) == (10.05, 12)
    assert [time.is_slower for time in found.times.values()] == [False] * 10 + [True] * 3


def test_details_list_tests_with_most_failures_first_and_gaps_where_one_did_not_run(
    history: History,
) -> None:
    keep(history, 1, node(MODEL, 0, 1), node(UNIQUE, 1, 2, status="pass"))
    keep(history, 2, node(MODEL, 0, 1), node(NOT_NULL, 1, 2, status="fail"))
    keep(
        history,
        3,
        node(MODEL, 0, 1),
        node(UNIQUE, 1, 2, status="warn"),
        node(NOT_NULL, 1, 2, status="fail"),
    )

    found = details(history)

    assert [(test.name, test.statuses, test.failed) for test in found.tests] == [
        ("not_null_orders_id", ["", "fail", "fail"], 2),
        ("unique_orders_id", ["pass", "", "warn"], 0),
    ]
    assert found.tests_of(2) == "1 warn, 1 fail"


def test_details_leave_out_unavailable_rows(history: History) -> None:
    keep(history, 1, node(MODEL, 0, 1, rows=-1))
    assert details(history).rows_plot is None

    keep(history, 2, node(MODEL, 0, 1, rows=7))
    found = details(history).rows_plot

    assert found
    assert [(point.place, point.label) for point in found.points] == [(1, "7 rows")]


def test_model_of_one_run_has_no_median_and_no_regression(
    client: TestClient, history: History
) -> None:
    keep(history, 1, node(MODEL, 0, 1.5))

    text = client.get(path(MODEL)).text

    assert "One stored run has built this model: median and spread need another one." in text
    assert "<h2>Slower</h2>" not in text
    assert 'class="band" points' not in text


def test_model_that_was_never_built_has_states_only(client: TestClient, history: History) -> None:
    never: dict[str, Any] = {"started_at": None, "ended_at": None, "seconds": 0.0}
    for run_id, status in enumerate(("reused", "no-op", "skipped", "error"), start=1):
        keep(history, run_id, replace(node(MODEL, 0, 0), status=status, **never))

    text = client.get(path(MODEL)).text

    assert "No stored run has built this model." in text
    assert '<title>Run 1: reused</title><circle class="quiet"' in " ".join(text.split())
    assert 'class="plot"' not in text


def test_runs_of_an_earlier_version_are_shown_without_rows_and_tests(
    client: TestClient, history: History
) -> None:
    for run_id in (1, 2):
        history.keep(Results(run(run_id), [Node(MODEL, "success", 2.0, "", 4)]))

    text = client.get(path(MODEL)).text

    assert "An earlier version stored 2 of these runs without rows and tests." in text
    assert text.count("<title>Run ") == 4  # two builds and two states


@pytest.mark.parametrize("unique_id", [EVIL, LONG, "model.shop.größe/v1.2", "model.shop.."])
def test_model_page_opens_from_the_job_and_the_run_for_any_name(
    client: TestClient, history: History, unique_id: str
) -> None:
    keep_builds(history, [1.0, 2.0], unique_id)
    link = path(unique_id).replace("&", "&amp;")

    answer = client.get(path(unique_id))

    assert answer.status_code == 200
    assert "<script>alert" not in answer.text
    assert f'href="../{link}"' in client.get(f"jobs/{DAILY}").text
    assert f'href="../../../{link}"' in client.get(f"jobs/{DAILY}/runs/1").text
    assert f'<a href="../../jobs/{DAILY}/runs/2">' in answer.text


def test_address_of_a_model_has_its_id_and_the_connection_in_the_query() -> None:
    address = f"jobs/{DAILY}/model?id=model.a%2F.%3Fb%26%C3%A9%3F"

    assert path("model.a/.?b&é\ud800") == address
    assert path("model.a/.?b&é?", "?connection=eu") == f"{address}&connection=eu"


@pytest.mark.parametrize("unique_id", ["", "model.shop.missing", UNIQUE, "é" * 2000, "\x00", EVIL])
def test_model_page_returns_404_for_a_model_that_no_run_has(
    client: TestClient, history: History, unique_id: str
) -> None:
    keep(history, 1, node(MODEL, 0, 1), node(UNIQUE, 1, 2, status="pass"))

    answer = client.get(path(unique_id))

    assert answer.status_code == 404
    assert f"of job {DAILY} is in no stored run." in answer.text
    assert "<script>alert" not in answer.text


def test_model_of_two_accounts_requires_the_connection(
    make_client: MakeClient, two_accounts: list[str], kept: ObjectStoragePath
) -> None:
    for account in (ACCOUNT, OTHER):
        keep(History(account.folder_below(kept)), 2, node(MODEL, 0, 1))
    both = make_client(dbt_cloud_conn_id=two_accounts)

    ambiguous = both.get(path(MODEL))
    ours = both.get(path(MODEL, f"?connection={CONN_ID}"))

    assert ambiguous.status_code == 409
    assert ours.status_code == 200
    assert f'href="../../jobs/{DAILY}/runs/2?connection={CONN_ID}"' in ours.text


def keep_many(history: History) -> None:
    """Store 200 runs: slower from run 150 on, with failures, and tests that fail now and then."""
    for run_id in range(1, 201):
        took = (2.0 if run_id < 150 else 3.5) + (run_id * 7 % 10) / 20
        start = BEGIN + timedelta(hours=12 * run_id)
        status = "error" if run_id % 40 == 0 else "reused" if run_id % 31 == 0 else "success"
        fails = run_id % 25 == 0
        keep(
            history,
            run_id,
            node(MODEL, 0, took, status=status, rows=100_000 + 700 * run_id),
            node(UNIQUE, 5, 6, status="fail" if fails else "pass"),
            node(NOT_NULL, 5, 6, status="warn" if run_id % 33 == 0 else "pass"),
            created_at=start.isoformat(),
            started_at=start.isoformat(),
            finished_at=(start + timedelta(minutes=1)).isoformat(),
        )


@pytest.fixture
def address(make_client: MakeClient, history: History) -> Iterator[str]:
    keep_many(history)
    keep(history, 201, node(LONG, 0, 1), tested=LONG)
    with serve(make_client().app) as root:
        yield root


@needs_browser
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_model_pages_fit_the_window_in_both_themes(
    address: str, page: Page, width: int, theme: str
) -> None:
    use(page, width, theme)
    for unique_id in (MODEL, LONG):
        page.open(f"{address}{path(unique_id)}", "Stored runs")

        assert page.evaluate("document.documentElement.scrollWidth") == width
        ground = "rgb(17, 19, 24)" if theme == "dark" else "rgb(255, 255, 255)"
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == ground
        points = "[...document.querySelectorAll('.model .plot a')]"
        sizes = page.evaluate(f"{points}.map(one => one.getBoundingClientRect().width)")
        assert min(sizes) > 0


@needs_browser
def test_chart_shows_the_newest_runs_first_and_a_build_opens_its_run(
    address: str, page: Page
) -> None:
    use(page, 400)
    page.open(f"{address}{path(MODEL)}", "Since run 150 of")
    newest = (
        "[...document.querySelectorAll('.plot a')].find(one => /Run 199:/.test(one.textContent))"
    )

    page.evaluate("document.querySelector('.newest-first').scrollIntoView()")
    page.move_mouse(*page.middle(newest))
    page.press()

    page.wait_for("Run 199")
    assert str(page.evaluate("location.pathname")).endswith(f"/jobs/{DAILY}/runs/199")

"""A run's page in Chromium: wide and narrow, light and dark, by mouse and by keyboard."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import uvicorn
from airflow.sdk import ObjectStoragePath

from include.dbt_cloud.api.artifacts import Node
from include.dbt_cloud.reports.history import History
from include.dbt_cloud.reports.results import Results
from include.dbt_cloud.reports.timeline import stored_timeline
from include.local_dbt_cloud.testing import free_port
from tests.pictures.browser import Page, browser, needs_browser
from tests.unit.dbt_cloud.events.conftest import airflow_s_tables, database_url
from tests.unit.dbt_cloud.page.test_app import MakeClient, history, kept, make_client
from tests.unit.dbt_cloud.page.test_content import DAILY, run
from tests.unit.dbt_cloud.page.test_run_details import ERROR, steps
from tests.unit.dbt_cloud.reports.test_timeline import node

__all__ = ["airflow_s_tables", "database_url", "history", "kept", "make_client"]
GOOD, FAILED, CANCELLED, LARGE = 1, 2, 3, 4
EVIL = "<script>document.title = 'taken over'</script>"
CHAIN = [f"model.shop.{name}" for name in ("stg_orders", "orders", "customers")]
OTHER = f"model.shop.stg_{'very_long_name_' * 8}"
MANIFEST = {
    "nodes": {
        CHAIN[0]: {"depends_on": {"nodes": []}},
        CHAIN[1]: {"depends_on": {"nodes": [CHAIN[0]]}},
        CHAIN[2]: {"depends_on": {"nodes": [CHAIN[1]]}},
        OTHER: {"depends_on": {"nodes": []}},
    }
}
CHOSEN = "document.querySelector('#chosen').textContent"


def nodes() -> list[Node]:
    """Return a chain of 2 s, 4 s and 1 s, and a node of 3 s beside it."""
    return [
        node(CHAIN[0], 75, 77, rows=120),
        node(CHAIN[1], 77, 81),
        node(CHAIN[2], 81, 82),
        node(OTHER, 75, 78, "Thread-2"),
    ]


def failed_nodes() -> list[Node]:
    ended: dict[str, Any] = {"started_at": None, "ended_at": None}
    failed = node(CHAIN[1], 77, 81, status="error", message=f"{ERROR} {EVIL}")
    skipped = node(CHAIN[2], 0, 0, status="skipped", **ended)
    return [nodes()[0], failed, skipped, nodes()[3]]


def keep_all(history: History) -> None:
    large = [node(f"model.shop.m{one}", one, one + 5, f"Thread-{one % 5}") for one in range(1000)]
    runs: dict[int, tuple[list[Node], int]] = {
        GOOD: (nodes(), 10),
        FAILED: (failed_nodes(), 20),
        CANCELLED: (nodes()[:1], 30),
        LARGE: (large, 10),
    }
    for run_id, (some, status) in runs.items():
        results = Results(run(run_id, status=status, run_steps=steps()), some)
        history.keep(results, stored_timeline(results, MANIFEST))


@contextmanager
def serve(app: Any) -> Iterator[str]:
    """Yield the address of the page on a real server."""
    server = uvicorn.Server(uvicorn.Config(app, port=free_port(), log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    try:
        yield f"http://127.0.0.1:{server.config.port}/dbt-cloud-page/"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture
def address(make_client: MakeClient, kept: ObjectStoragePath, history: History) -> Iterator[str]:
    """Yield the address of the job's runs."""
    keep_all(history)
    with serve(make_client().app) as address:
        yield f"{address}jobs/{DAILY}/runs/"


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with browser() as page:
        page.command("Emulation.setTimezoneOverride", timezoneId="Asia/Tokyo")
        yield page


def use(page: Page, width: int = 1280, theme: str = "light") -> None:
    page.size(width, 900)
    scheme = {"name": "prefers-color-scheme", "value": theme}
    page.command("Emulation.setEmulatedMedia", features=[scheme])


def press(page: Page, key: str) -> str:
    """Press a key and return the description of the chosen node."""
    for kind in ("keyDown", "keyUp"):
        page.command("Input.dispatchKeyEvent", type=kind, key=key)
    return str(page.evaluate(CHOSEN))


@needs_browser
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_run_pages_fit_the_window_in_both_themes(
    address: str, page: Page, width: int, theme: str
) -> None:
    use(page, width, theme)
    texts = {GOOD: "Critical path", FAILED: "What failed", CANCELLED: "cancelled", LARGE: "1000"}
    for run_id, text in texts.items():
        page.open(f"{address}{run_id}", f"Run {run_id}", text)

        assert page.evaluate("document.documentElement.scrollWidth") == width
        ground = "rgb(17, 19, 24)" if theme == "dark" else "rgb(255, 255, 255)"
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == ground
        bars = "[...document.querySelectorAll('.gantt rect')]"
        sizes = page.evaluate(f"{bars}.map(bar => bar.getBoundingClientRect().width)")
        assert sizes
        assert min(sizes) > 0
        assert page.evaluate("document.title") == f"Run {run_id}, dbt Cloud"


@needs_browser
def test_keys_and_mouse_choose_a_node_and_show_it(address: str, page: Page) -> None:
    use(page)
    page.open(f"{address}{GOOD}", "Point at a bar")
    page.evaluate("document.querySelector('.gantt').focus()")

    first = press(page, "ArrowRight")
    below = press(page, "ArrowDown")
    last = press(page, "End")

    assert first.startswith("model stg_orders · success, on the critical path · seconds: 2.00")
    assert "thread: 1 · rows: 120" in first
    assert "at 7:01:15" in first  # 10:01:15 UTC in Tokyo, p.m.
    assert below.startswith("model stg_very_long_name_")
    assert last.startswith("model customers")
    assert press(page, "ArrowRight") == last
    page.move_mouse(*page.middle("document.querySelectorAll('rect[data-row]')[2]"))
    assert str(page.evaluate(CHOSEN)).startswith("model orders")
    assert page.evaluate("document.querySelector('#chosen').title") == "2026-11-25 10:01:17.000 UTC"


@needs_browser
def test_times_are_in_the_zone_of_the_browser_with_utc_on_hover(address: str, page: Page) -> None:
    use(page)
    page.open(f"{address}{GOOD}", "Started")

    time = "document.querySelector('time')"

    assert page.evaluate(f"{time}.title") == "2026-11-25 10:01:10 UTC"
    assert "7:01:10" in page.evaluate(f"{time}.textContent")


@needs_browser
def test_failure_stands_first_and_its_markup_is_text(address: str, page: Page) -> None:
    use(page, 400)
    page.open(f"{address}{FAILED}", "model orders", "SQL line 15", EVIL)

    shown = str(page.evaluate("document.querySelector('.failure').innerText"))

    assert "1 skipped because of it: model customers" in shown
    top = "document.querySelector('.failure').getBoundingClientRect().top"
    assert page.evaluate(top) < 500  # below the facts and the notice about dbt Cloud
    assert page.evaluate("document.title") == f"Run {FAILED}, dbt Cloud"


@needs_browser
def test_table_of_the_chart_is_behind_a_button(address: str, page: Page) -> None:
    use(page)
    page.open(f"{address}{GOOD}", "Table of all 4 nodes")
    is_shown = "document.querySelector('.nodes').checkVisibility()"
    assert page.evaluate(is_shown) is False

    page.evaluate("document.querySelector('summary').click()")

    assert page.evaluate(is_shown) is True
    assert page.evaluate("document.querySelectorAll('.nodes tbody tr').length") == 4

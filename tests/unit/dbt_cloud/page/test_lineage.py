"""The lineage of a run: its nodes with their last results, and the picture in Chromium."""

from __future__ import annotations

from typing import Any

import pytest

from include.dbt_cloud.api.artifacts import Node
from include.dbt_cloud.page.lineage import lineage_of
from include.dbt_cloud.page.newest_runs import RecentRuns
from include.dbt_cloud.page.run_details import run_details_of
from include.dbt_cloud.reports.history import History
from include.dbt_cloud.reports.results import Results
from include.dbt_cloud.reports.timeline import stored_timeline
from tests.pictures.browser import Page, needs_browser
from tests.unit.dbt_cloud.events.conftest import airflow_s_tables, database_url
from tests.unit.dbt_cloud.page.test_app import history, kept, make_client
from tests.unit.dbt_cloud.page.test_content import DAILY, run
from tests.unit.dbt_cloud.page.test_run_details import ERROR, read_live, steps
from tests.unit.dbt_cloud.page.test_static import EVIL, address, page, use
from tests.unit.dbt_cloud.reports.test_timeline import node

__all__ = ["address", "airflow_s_tables", "database_url", "history", "kept", "make_client", "page"]
STG, ORDERS, STORES, REPORT = (
    f"model.shop.{name}" for name in ("stg", "orders", "stores", "report")
)
UNIQUE, FRESH = "test.shop.unique_orders.1", "test.shop.not_null_stg.2"
PARENTS = {
    STG: [],
    STORES: [],
    ORDERS: [STG],
    REPORT: [ORDERS, STORES],
    UNIQUE: [ORDERS],
    FRESH: [STG],
}
MANIFEST = {"nodes": {key: {"depends_on": {"nodes": some}} for key, some in PARENTS.items()}}
RUN, LARGE, OLD = 11, 12, 13


def nodes() -> list[Node]:
    never: dict[str, Any] = {"started_at": None, "ended_at": None, "status": "skipped"}
    return [
        node(STG, 75, 77),
        node(STORES, 75, 76, "Thread-2"),
        node(FRESH, 77, 78, status="warn", message="3 rows"),
        node(ORDERS, 78, 79, status="error", message=f"{ERROR} {EVIL}"),
        node(UNIQUE, 0, 0, **never),
        node(REPORT, 0, 0, **never),
    ]


def keep(history: History, run_id: int, some: list[Node], manifest: dict[str, Any] | None) -> None:
    results = Results(run(run_id, status=20, run_steps=steps()), some)
    history.keep(results, stored_timeline(results, manifest))


def lineage_in(history: History, run_id: int) -> Any:
    details = run_details_of(DAILY, run_id, RecentRuns(), history, lambda _: {}, read_live)
    assert details
    return lineage_of(details)


def test_lineage_has_each_node_with_its_state_and_parents(history: History) -> None:
    keep(history, RUN, nodes(), MANIFEST)

    found = lineage_in(history, RUN)

    names = [one.unique_id for one in found]
    assert {one.unique_id: [names[place] for place in one.parents] for one in found} == {
        key: sorted(some, key=names.index) for key, some in PARENTS.items()
    }
    assert [one.state for one in found] == [
        "success",
        "success",
        "warn",
        "error",
        "skipped",
        "skipped",
    ]
    assert [one.is_test for one in found] == [False, False, True, False, True, False]


def test_node_of_two_steps_is_once_in_the_lineage_with_its_last_result(history: History) -> None:
    again = node(ORDERS, 82, 84, step=5)
    keep(history, RUN, [*nodes(), again], MANIFEST)

    orders = next(one for one in lineage_in(history, RUN) if one.unique_id == ORDERS)

    assert (orders.state, orders.seconds) == ("success", 3.0)
    assert len(lineage_in(history, RUN)) == len(PARENTS)


def test_lineage_needs_the_parents(history: History) -> None:
    keep(history, RUN, nodes(), None)
    history.keep(Results(run(OLD), nodes()))  # as an earlier version did

    assert lineage_in(history, RUN) is None
    assert lineage_in(history, OLD) is None


DRAWN = "[...document.querySelectorAll('.lineage g text:last-child')].map(one => one.textContent)"
CHOSEN = "document.querySelector('#chosen').textContent"
DIMMED = "[...document.querySelectorAll('.lineage g:not(.near)')].length"


@needs_browser
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_lineage_shows_the_failure_and_what_hangs_on_it(
    address: str, page: Page, history: History, width: int, theme: str
) -> None:
    keep(history, RUN, nodes(), MANIFEST)
    use(page, width, theme)

    page.open(f"{address}{RUN}/lineage", "model orders · error")

    assert set(page.evaluate(DRAWN)) == {
        "model stg",
        "model stores",
        "test not_null_stg",
        "model orders",
        "test unique_orders",
        "model report",
    }
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.least_contrast() >= 4.5  # WCAG 2.2, level AA
    assert "ancestors: 1 · descendants: 2" in page.evaluate(CHOSEN)
    assert "taken over" in page.evaluate("document.querySelector('#chosen pre').textContent")
    assert page.evaluate("document.title") == f"Lineage of run {RUN}, dbt Cloud"
    assert page.evaluate(DIMMED) == 2  # stores and the test of stg
    links = page.evaluate("[...document.querySelectorAll('#chosen a')].map(one => one.href)")
    assert links == [
        address.replace("runs/", "model?id=model.shop.orders"),
        f"{address}{RUN}/sql?id=model.shop.orders",
    ]
    edges = page.evaluate("document.querySelectorAll('.lineage path').length")
    assert edges == sum(len(some) for some in PARENTS.values())


def key(page: Page, name: str) -> str:
    for kind in ("keyDown", "keyUp"):
        page.command("Input.dispatchKeyEvent", type=kind, key=name)
    return str(page.evaluate(CHOSEN)).split(" · ")[0]


def search(page: Page, name: str) -> str:
    field = "document.querySelector('#find')"
    page.evaluate(f"{field}.value = '{name}'")
    page.evaluate(f"{field}.dispatchEvent(new Event('change'))")
    return str(page.evaluate(CHOSEN))


@needs_browser
def test_lineage_is_walked_by_keys_searched_and_shared(
    address: str, page: Page, history: History
) -> None:
    keep(history, RUN, nodes(), MANIFEST)
    use(page)
    page.open(f"{address}{RUN}/lineage", "model orders · error")

    page.evaluate("document.querySelector('.lineage').focus()")
    assert key(page, "ArrowLeft") == "model stg"
    assert key(page, "ArrowRight") == "model orders"
    column = [key(page, f"Arrow{way}") for way in ("Down", "Down", "Up", "Up", "Up")]
    assert {"model orders", "model stores"} <= set(column)
    assert key(page, "Escape").startswith("Choose a node")
    assert page.evaluate(DIMMED) == len(PARENTS)
    assert page.evaluate("location.hash") == ""
    assert search(page, "REPORT").startswith("model report · skipped")
    shared = page.evaluate("location.href")
    assert shared.endswith("#model.shop.report")
    assert search(page, "nothing") == "No node's name contains nothing."
    page.open("about:blank")
    page.open(shared, "model report · skipped")


@needs_browser
def test_lineage_of_a_large_run_draws_what_failed(
    address: str, page: Page, history: History
) -> None:
    count = 1200
    ids = [f"model.shop.m{place}" for place in range(count)]
    parents = {one: ids[(place - 1) // 3 : (place - 1) // 3 + 1] for place, one in enumerate(ids)}
    parents[ids[0]] = []
    manifest = {"nodes": {one: {"depends_on": {"nodes": parents[one]}} for one in ids}}
    some = [node(one, 1, 2, status="error" if one.endswith("m100") else "success") for one in ids]
    keep(history, LARGE, some, manifest)
    use(page)

    page.open(f"{address}{LARGE}/lineage", "nodes are drawn", "model m100 · error")

    # m100; its ancestors m33, m10, m3 and m0; 3 children and 9 grandchildren
    assert page.evaluate(DRAWN + ".length") == 17
    assert f"17 of {count} nodes are drawn: what failed" in page.evaluate(
        "document.querySelector('#cut').textContent"
    )


@needs_browser
def test_chosen_node_is_drawn_even_if_too_many_surround_it(
    address: str, page: Page, history: History
) -> None:
    ids = [f"model.shop.m{place}" for place in range(700)]
    manifest = {
        "nodes": {
            one: {"depends_on": {"nodes": ids[max(0, place - 1) : place]}}
            for place, one in enumerate(ids)
        }
    }
    keep(history, LARGE, [node(one, 1, 2) for one in ids], manifest)
    use(page)
    page.open(f"{address}{LARGE}/lineage", "500 of 700 nodes are drawn: the first ones.")

    assert search(page, "m699").startswith("model m699 · success")
    assert page.evaluate("document.querySelector('.is-chosen text:last-child').textContent") == (
        "model m699"
    )
    assert page.evaluate(f"{DRAWN}.length") == 500


def keep_folders(history: History) -> None:
    """Keep 100 nodes in two folders: each of the first is the parent of one of the second."""
    ids = [f"model.shop.m{place}" for place in range(100)]
    manifest = {
        "nodes": {
            one: {
                "depends_on": {"nodes": ids[place - 50 : place - 49] if place >= 50 else []},
                "fqn": ["shop", "staging" if place < 50 else "marts/daily", f"m{place}"],
            }
            for place, one in enumerate(ids)
        },
        "metadata": {"project_name": "shop"},
    }
    some = [node(one, 1, 2, status="warn" if one.endswith("m70") else "success") for one in ids]
    keep(history, LARGE, some, manifest)


@needs_browser
def test_lineage_of_many_nodes_begins_with_its_folders(
    address: str, page: Page, history: History
) -> None:
    keep_folders(history)
    use(page)
    page.open(f"{address}{LARGE}/lineage", "staging (50)")

    titles = "[...document.querySelectorAll('.lineage title')].map(one => one.textContent)"
    assert page.evaluate(titles) == ["staging: 50 success", "marts/daily: 1 warn, 49 success"]
    assert page.evaluate("document.querySelectorAll('.lineage path[data-from]').length") == 1
    page.move_mouse(*page.middle("document.querySelector('.lineage g.success')"))
    page.press()
    assert page.evaluate(f"{DRAWN}.length") == 51
    assert search(page, "m70").startswith("model m70 · warn")
    assert page.evaluate(f"{DRAWN}.length") == 100
    assert page.evaluate("document.querySelectorAll('.lineage g.near').length") == 2

    page.evaluate("document.querySelector('#folders').click()")
    page.evaluate("document.querySelector('#folders').click()")
    assert page.evaluate(f"{DRAWN}.length") == 2
    assert page.evaluate("document.querySelectorAll('.lineage g.near').length") == 2


@needs_browser
def test_keys_open_the_folder_of_a_parent(address: str, page: Page, history: History) -> None:
    keep_folders(history)
    use(page)
    page.open(f"{address}{LARGE}/lineage#model.shop.m70", "model m70 · warn")
    page.evaluate("document.querySelector('.lineage').focus()")

    assert page.evaluate(f"{DRAWN}.length") == 51
    assert key(page, "ArrowLeft") == "model m20"
    assert page.evaluate(f"{DRAWN}.length") == 100


@needs_browser
def test_lineage_without_parents_says_why(address: str, page: Page, history: History) -> None:
    keep(history, RUN, nodes(), None)

    page.open(f"{address}{RUN}/lineage", "The parents of the nodes are not stored")

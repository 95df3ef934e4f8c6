"""The rendered pages: axe-core (https://github.com/dequelabs/axe-core) finds nothing in them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import ObjectStoragePath

from include.dbt_cloud.reports.history import History
from tests.pictures.browser import Page, needs_browser
from tests.unit.dbt_cloud.events.conftest import airflow_s_tables, database_url
from tests.unit.dbt_cloud.page.test_app import MakeClient, history, kept, make_client
from tests.unit.dbt_cloud.page.test_content import DAILY
from tests.unit.dbt_cloud.page.test_lineage import LARGE, keep_folders
from tests.unit.dbt_cloud.page.test_static import FAILED, GOOD, keep_all, page, serve, use

__all__ = ["airflow_s_tables", "database_url", "history", "kept", "make_client", "page"]
AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text()
VIOLATIONS = """axe.run().then(found => found.violations.flatMap(violation =>
    violation.nodes.map(node => `${violation.id} (${violation.impact}): ${node.html}`)))"""
JOB = f"jobs/{DAILY}"
PAGES = {
    "": "Last 30 runs",
    "?state=running": "No job has the state running.",
    JOB: "What has failed",
    f"{JOB}/model?id=model.shop.orders": "Run time of a build",
    f"{JOB}/runs/{GOOD}": "Critical path",
    f"{JOB}/runs/{FAILED}": "What failed",
    f"{JOB}/runs/{FAILED}/lineage": "ancestors",
    f"{JOB}/runs/{LARGE}/lineage": "marts/daily",
    f"{JOB}/runs/{GOOD}/sql?id=model.shop.orders": "Could not read the SQL",
    "usage": "Models built",
    "jobs/9": "Job 9 has no run",
}


@pytest.fixture
def address(make_client: MakeClient, kept: ObjectStoragePath, history: History) -> Iterator[str]:
    keep_all(history)
    keep_folders(history)
    with serve(make_client().app) as address:
        yield address


def violations(page: Page) -> Any:
    page.evaluate(f"{AXE}; null")
    return page.evaluate(VIOLATIONS)


@needs_browser
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_pages_have_no_violation_that_axe_finds(address: str, page: Page, theme: str) -> None:
    use(page, theme=theme)
    found = {}
    for path, text in PAGES.items():
        page.open(f"{address}{path}", text)
        found[path] = violations(page)

    assert found == {path: [] for path in PAGES}


@needs_browser
def test_axe_finds_an_image_without_text_and_pale_text(page: Page) -> None:
    page.open("data:text/html,<title>x</title><main><h1>Text</h1><img src=x></main>", "Text")
    page.evaluate("document.querySelector('h1').style.color = '#ccc'")

    found = violations(page)

    assert {one.split()[0] for one in found} == {"color-contrast", "html-has-lang", "image-alt"}

"""The web pages, which need no token."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import duckdb
import httpx
import pytest

from include.local_dbt_cloud.api.pages import clock_in_words, time_ago
from include.local_dbt_cloud.pytest_plugin import MakeLocalDbtCloud
from include.local_dbt_cloud.testing import LocalDbtCloud
from include.local_dbt_cloud.times import now
from tests.bundled import DAILY_BUILD
from tests.pictures.browser import Page, browser, needs_browser
from tests.waiting import eventually

JOBS = "/v2/accounts/16173/jobs"
DASH = "\u2013"
PLACE = "/deploy/16173/projects/36467"
MARKUP = '<script>alert(1)</script> & "quoted"'
ESCAPED = "&lt;script&gt;alert(1)&lt;/script&gt; &amp; &#34;quoted&#34;"
JOB: dict[str, Any] = {
    "account_id": 16173,
    "project_id": 36467,
    "environment_id": 29118,
    "name": MARKUP,
    "description": MARKUP,
    "execute_steps": ["dbt build --select tag:daily", "dbt test"],
    "generate_docs": True,
    "triggers": {"schedule": True},
    "schedule": {"cron": "0 0 1 1 *"},  # starts nothing while tests run
    "job_completion_trigger_condition": {
        "condition": {"job_id": DAILY_BUILD, "project_id": 36467, "statuses": [20]}
    },
}


def page(server: LocalDbtCloud, path: str) -> str:
    response = server.client.get(server.url + path)
    assert response.is_success, response.text
    assert response.headers["content-type"].startswith("text/html")
    return response.text


def test_job_page_shows_triggers_and_commands_with_escaped_markup(
    local_dbt_cloud: LocalDbtCloud, api: httpx.Client
) -> None:
    job_id = api.post(JOBS, json=JOB).json()["data"]["id"]
    path = f"{PLACE}/jobs/{job_id}"

    output, first = page(local_dbt_cloud, path), page(local_dbt_cloud, "/")
    api.delete(f"{JOBS}/{job_id}")

    assert f"<dd>{job_id}</dd>" in output
    assert output.count(ESCAPED) == 3  # title, heading, description
    assert "alert(1)</script>" not in output + first
    commands = "".join(f"<li><code>{each}</code></li>" for each in JOB["execute_steps"])
    assert f"{commands}<li><code>dbt docs generate</code></li>" in output
    for way in ("on day 1 of the month, only in January", "when Daily build has ended with Error"):
        assert way in output
        assert way in first
    assert "This job is deleted" not in output
    assert "This job is deleted" in page(local_dbt_cloud, path)
    assert ESCAPED not in page(local_dbt_cloud, "/")


def test_home_page_lists_jobs_and_runs(local_dbt_cloud: LocalDbtCloud) -> None:
    run = local_dbt_cloud.wait(
        local_dbt_cloud.trigger(DAILY_BUILD, cause=MARKUP, steps_override=["dbt parse"])
    )

    first = page(local_dbt_cloud, "/")
    jobs, runs = first.split("<h1>Runs</h1>")

    assert f"{PLACE}/jobs/{DAILY_BUILD}/" in jobs
    assert "only over the API" in jobs
    assert run["href"] in jobs  # its newest run
    assert run["href"] in runs
    assert ESCAPED in runs
    assert "alert(1)</script>" not in first


def test_run_page_follows_its_run_until_the_end(local_dbt_cloud: LocalDbtCloud) -> None:
    warehouse = local_dbt_cloud.data / "warehouse.duckdb"
    local_dbt_cloud.wait(local_dbt_cloud.trigger(DAILY_BUILD, steps_override=["dbt deps"]))
    with duckdb.connect(warehouse):  # dbt waits for it
        run_id = local_dbt_cloud.trigger(
            DAILY_BUILD, steps_override=["dbt run --select stg_stores"]
        )
        # The next one waits for that one.
        next_id = local_dbt_cloud.trigger(DAILY_BUILD, steps_override=["dbt deps"])
        path = f"{PLACE}/runs/{run_id}/"
        going_on = page(local_dbt_cloud, path)
        queued = page(local_dbt_cloud, f"{PLACE}/runs/{next_id}/")
    local_dbt_cloud.wait(run_id)
    ended = page(local_dbt_cloud, path)
    local_dbt_cloud.wait(next_id)

    assert '<main data-follow="1">' in going_on
    assert "manifest.json" not in going_on
    assert f"<dt>Ran</dt><dd>{DASH}</dd>" in queued
    assert '<main data-follow="0">' in ended
    assert "Invoke dbt with `dbt run --select stg_stores`" in ended
    assert "manifest.json" in ended
    assert f"{PLACE}/jobs/{DAILY_BUILD}/" in ended


@pytest.fixture(scope="module")
def failed_run(local_dbt_cloud: LocalDbtCloud) -> dict[str, Any]:
    """Return a run of which a model fails, since its source is missing."""
    local_dbt_cloud.wait(local_dbt_cloud.trigger(DAILY_BUILD, steps_override=["dbt deps"]))
    rename = "alter table raw.{} rename to {}"
    with duckdb.connect(local_dbt_cloud.data / "warehouse.duckdb") as warehouse:
        warehouse.sql(rename.format("stores", "stores_away"))
    steps = ["dbt build --select stg_stores+ stg_orders"]
    run = local_dbt_cloud.wait(local_dbt_cloud.trigger(DAILY_BUILD, steps_override=steps))
    with duckdb.connect(local_dbt_cloud.data / "warehouse.duckdb") as warehouse:
        warehouse.sql(rename.format("stores_away", "stores"))
    return run


def test_run_page_begins_with_the_failure_and_links_its_files(
    local_dbt_cloud: LocalDbtCloud, failed_run: dict[str, Any]
) -> None:
    output = page(local_dbt_cloud, f"{PLACE}/runs/{failed_run['id']}/")
    failure, steps = output.split("<h1>Steps</h1>")
    links = re.findall(r'href="([^"]+/artifacts/[^"]+)"', output)
    sql = local_dbt_cloud.client.get(links[0])

    assert '<h2>model stg_stores <span class="status Error">error</span></h2>' in failure
    assert "Table with name stores does not exist" in failure
    assert "skipped because of it: model stores" in failure
    assert steps.count("<rect ") >= 2
    assert "<td>model stores</td><td>skipped</td>" in steps
    assert links[0].endswith("/models/staging/stg_stores.sql")
    assert "select" in sql.text
    assert sql.headers["content-type"] == "text/plain; charset=utf-8"
    assert sql.headers["x-content-type-options"] == "nosniff"
    assert {local_dbt_cloud.client.get(one).status_code for one in links} == {200}


def test_run_page_links_to_its_page_in_airflow(make_local_dbt_cloud: MakeLocalDbtCloud) -> None:
    server = make_local_dbt_cloud("--airflow-page", "http://localhost:8080/plugin/page/")
    run_id = server.trigger(DAILY_BUILD)

    link = f"http://localhost:8080/plugin/page/jobs/{DAILY_BUILD}/runs/{run_id}"
    assert f'<a href="{link}">' in page(server, f"{PLACE}/runs/{run_id}/")


@pytest.mark.parametrize(
    "path",
    [
        "runs/{}/artifacts/4/no.json",
        "runs/{}/artifacts/4/../debug_logs.txt",
        "runs/{}/artifacts/4/%2e%2e/debug_logs.txt",
        "runs/{}/artifacts/4/%2Fetc%2Fpasswd",
        "runs/{}/artifacts/99/manifest.json",
        "runs/{}/artifacts/x/manifest.json",
        "runs/999999/artifacts/4/manifest.json",
    ],
)
def test_only_the_artifacts_of_a_run_are_readable(
    local_dbt_cloud: LocalDbtCloud, failed_run: dict[str, Any], path: str
) -> None:
    address = f"{local_dbt_cloud.url}{PLACE}/{path.format(failed_run['id'])}"

    assert local_dbt_cloud.client.get(address).status_code == 404


@needs_browser
@pytest.mark.parametrize("width", [1280, 400])
def test_run_page_draws_its_nodes(
    local_dbt_cloud: LocalDbtCloud, failed_run: dict[str, Any], window: Page, width: int
) -> None:
    window.size(width, 900)
    window.open(f"{local_dbt_cloud.url}{PLACE}/runs/{failed_run['id']}/", "Table of")

    bars = "[...document.querySelectorAll('.gantt rect')].map(one => one.getBoundingClientRect())"
    assert min(window.evaluate(f"{bars}.map(one => one.width)")) > 0
    assert max(window.evaluate(f"{bars}.map(one => one.right)")) <= width
    assert window.evaluate("document.documentElement.scrollWidth") == width
    assert window.evaluate("document.querySelector('.gantt .failed').textContent") is not None
    assert window.least_contrast() >= 4.5


@needs_browser
@pytest.mark.parametrize(("width", "theme"), [(1280, "light"), (400, "dark")])
def test_lineage_page_begins_with_the_failed_node(
    local_dbt_cloud: LocalDbtCloud,
    failed_run: dict[str, Any],
    window: Page,
    width: int,
    theme: str,
) -> None:
    window.size(width, 900)
    scheme = {"name": "prefers-color-scheme", "value": theme}
    window.command("Emulation.setEmulatedMedia", features=[scheme])
    window.open(f"{local_dbt_cloud.url}{PLACE}/runs/{failed_run['id']}/", "Lineage")
    window.evaluate("document.querySelector('main a[href$=lineage]').click()")

    window.wait_for("model stg_stores \u00b7 error", "Table with name stores does not exist")

    assert window.evaluate("document.documentElement.scrollWidth") == width
    assert window.evaluate("document.querySelectorAll('.lineage g.near').length") >= 2
    assert window.least_contrast() >= 4.5


@pytest.mark.parametrize("name", ["x.js", "../pages.py", "page.js"])
def test_only_the_scripts_of_the_lineage_are_served(
    local_dbt_cloud: LocalDbtCloud, name: str
) -> None:
    address = f"{local_dbt_cloud.url}/deploy/scripts"

    assert local_dbt_cloud.client.get(f"{address}/{name}").status_code == 404
    assert local_dbt_cloud.client.get(f"{address}/lineage.js").is_success


@pytest.fixture(scope="module")
def window() -> Iterator[Page]:
    with browser() as window:
        yield window


@needs_browser
@pytest.mark.parametrize("has_scripts", [True, False])
def test_run_page_refreshes_in_a_browser_with_and_without_scripts(
    local_dbt_cloud: LocalDbtCloud, window: Page, has_scripts: bool
) -> None:
    local_dbt_cloud.wait(local_dbt_cloud.trigger(DAILY_BUILD, steps_override=["dbt deps"]))
    window.command("Emulation.setScriptExecutionDisabled", value=not has_scripts)
    with duckdb.connect(local_dbt_cloud.data / "warehouse.duckdb"):  # dbt waits for it
        run_id = local_dbt_cloud.trigger(
            DAILY_BUILD, steps_override=["dbt run --select stg_stores"]
        )
        window.open(
            f"{local_dbt_cloud.url}{PLACE}/runs/{run_id}/", f"run #{run_id}", f"Finished\n{DASH}"
        )

    def shows_the_end() -> bool:
        shown = window.evaluate("document.body?.innerText") or ""
        return "Finished\n" in shown and f"Finished\n{DASH}" not in shown

    eventually(shows_the_end, "the page shows the end")
    window.wait_for("Success")
    window.command("Emulation.setScriptExecutionDisabled", value=False)


@needs_browser
def test_the_pages_fit_a_narrow_window(local_dbt_cloud: LocalDbtCloud, window: Page) -> None:
    steps = ["dbt run --select stg_stores", "dbt run-operation no_such_macro"]
    run = local_dbt_cloud.wait(
        local_dbt_cloud.trigger(DAILY_BUILD, cause=MARKUP, steps_override=steps)
    )
    window.size(400, 800)

    for path, shown in (
        ("/", "Jobs"),
        (f"{PLACE}/jobs/{DAILY_BUILD}", "Commands"),
        (f"{PLACE}/runs/{run['id']}/", "no_such_macro"),
    ):
        window.open(local_dbt_cloud.url + path, shown)
        assert window.evaluate("document.documentElement.scrollWidth") == 400, path


@needs_browser
@pytest.mark.parametrize(("theme", "ground"), [("light", "246, 247, 249"), ("dark", "17, 19, 24")])
def test_pages_are_readable_in_both_colour_schemes(
    local_dbt_cloud: LocalDbtCloud, window: Page, theme: str, ground: str
) -> None:
    steps = ["dbt run --select stg_stores", "dbt run-operation no_such_macro"]
    run = local_dbt_cloud.wait(local_dbt_cloud.trigger(DAILY_BUILD, steps_override=steps))
    scheme = {"name": "prefers-color-scheme", "value": theme}
    window.command("Emulation.setEmulatedMedia", features=[scheme])

    for path in ("/", f"{PLACE}/jobs/{DAILY_BUILD}", f"{PLACE}/runs/{run['id']}/"):
        window.open(local_dbt_cloud.url + path, "local dbt Cloud")
        assert (
            window.evaluate("getComputedStyle(document.body).backgroundColor") == f"rgb({ground})"
        )
        assert window.least_contrast() >= 4.5, path  # WCAG 2.2, level AA


@pytest.mark.parametrize(
    "path", ["/jobs/1", "/jobs/x", "/runs/999999", f"/../1/jobs/{DAILY_BUILD}"]
)
def test_page_of_an_unknown_job_or_run_is_404_with_an_explanation(
    local_dbt_cloud: LocalDbtCloud, path: str
) -> None:
    response = local_dbt_cloud.client.get(local_dbt_cloud.url + PLACE + path)

    assert response.status_code == 404
    assert response.headers["content-type"].startswith("text/html")
    assert "Job or run not found" in response.text
    assert '<a href="/">' in response.text


def test_time_ago_and_clock_in_words_return_readable_times() -> None:
    assert time_ago(now().isoformat()) == "just now"
    assert time_ago((now() - timedelta(hours=3, minutes=5)).isoformat()) == "3 hours ago"
    assert clock_in_words("00:00:00") == "under a second"
    assert clock_in_words("25:00:42") == "1 day, 1 hour"

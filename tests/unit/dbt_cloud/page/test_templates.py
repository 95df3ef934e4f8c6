"""Tests of the templates with foreign text. Permissions are tested end to end."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any

import pytest
from fastapi import Request

from include.dbt_cloud.api.accounts import Account
from include.dbt_cloud.api.live_log import NodeLine
from include.dbt_cloud.page.accounts import ShownAccount
from include.dbt_cloud.page.content import LISTED, JobDetails, Overview, RecurringFailure
from include.dbt_cloud.page.job import Job
from include.dbt_cloud.page.job_list import JobList, JobSettings
from include.dbt_cloud.page.job_table import JobTable, View
from include.dbt_cloud.page.live_run import LiveRun
from include.dbt_cloud.page.newest_runs import RecentRuns
from include.dbt_cloud.page.rendering import page, rendered
from include.dbt_cloud.page.run_details import Phase, RunDetails
from include.dbt_cloud.page.runs import Run
from include.dbt_cloud.page.started_by import DagRun
from include.dbt_cloud.reports.live_nodes import LiveNode
from include.dbt_cloud.reports.results import Results
from include.dbt_cloud.reports.run_times import RunTime
from include.dbt_cloud.reports.timeline import Step, TimedNode, Timeline
from tests.unit.dbt_cloud.reports.test_critical_path import node

SERVER = {"scheme": "http", "server": ("airflow", 8080), "root_path": "", "query_string": b""}
REQUEST = Request({"type": "http", "method": "GET", "path": "/", "headers": [], **SERVER})
ACCOUNT = Account("localhost:8580", 16173)
EVIL = "\"><script>alert('x')</script><img src=x onerror=alert(1)>"


def run(**more: Any) -> Run:
    values: dict[str, Any] = {
        "id": 7,
        "job_id": 65767,
        "job_name": EVIL,
        "project_id": 36467,
        "state": "error",
        "started_at": datetime(2026, 11, 25, 0, 5, tzinfo=UTC),
        "queued_seconds": 300.0,
        "seconds": 12.0,
        "cause": EVIL,
        "message": EVIL,
        "url": "https://localhost/runs/7/",
    }
    return Run(**{**values, **more})


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def shown(
    account: Account | None = ACCOUNT,
    problem: str = "",
    conn_id: str = "",
    query: str = "",
    listed: JobList | None = None,
) -> ShownAccount:
    recent = RecentRuns([], problem, account, listed or JobList())
    return ShownAccount(conn_id, recent, None, query)


def job(job_id: int = 65767, *runs: Run) -> Job:
    return Job.of(job_id, list(runs) or [run()], JobList())


def jobs_page(*overviews: Overview, dag_id: str = "keep", **view: str) -> str:
    table = JobTable.of(View(**view), list(overviews) or [Overview(shown())])
    return rendered("jobs.html", "./", table=table, most=LISTED, dag_id=dag_id).decode()


def job_page(found: JobDetails, query: str = "", all_models: bool = False) -> str:
    account = shown(problem=EVIL, query=query)
    values = {"shown": account, "found": found, "all_models": all_models}
    return rendered("job.html", "../", **values).decode()


@pytest.fixture
def details() -> JobDetails:
    times = [RunTime(EVIL, 3.0, [1.0] * 12), RunTime("a", 0.8, [0.29] * 3), RunTime("b", 1.0, [])]
    failures = [RecurringFailure(EVIL, ["pass", "", "fail", "warn", "runtime error"], EVIL)]
    compared = [run(id=one) for one in range(3, 8)]
    return JobDetails(job(), times, failures, 1, has_docs=True, compared=compared)


def run_page(found: RunDetails, query: str = "") -> str:
    account = shown(problem=EVIL, query=query)
    return rendered("run.html", "../../../", shown=account, found=found, dag_id=EVIL).decode()


def run_details(nodes: list[TimedNode], **more: Any) -> RunDetails:
    results = Results({"id": 7}, [one.node for one in nodes])
    timeline = Timeline(datetime(2026, 11, 25, tzinfo=UTC), [Step(4, EVIL, 20, None, None)], nodes)
    return RunDetails(**{"run": run(), "results": results, "timeline": timeline, **more})


EVIL_NODES = [
    node(f"model.shop.{EVIL}", 0, 2, 1, status=EVIL, message=EVIL),
    node(f"test.shop.{EVIL}.f00", 2, 3, 2, (0,), status="warn", message=EVIL),
    node(f"model.shop.b{EVIL}", parents=(0,), status="skipped", thread=None),
]

EVIL_LIVE = LiveNode(NodeLine(EVIL, "error", 1.0, EVIL), 0.0, 1.0, 1)


def test_templates_escape_foreign_text(details: JobDetails) -> None:
    settings = JobSettings(EVIL, EVIL, EVIL, starts=EVIL)
    jobs = [job(), Job(1, [], settings), Job(2, [run(starter=EVIL, state=EVIL)], settings)]
    evil = shown(Account(EVIL, 1), problem=EVIL, listed=JobList(problem=EVIL))
    for text in (
        jobs_page(Overview(evil, jobs, is_kept=False), dag_id=EVIL),
        jobs_page(Overview(shown(), jobs), project=EVIL, name=EVIL, sort=EVIL, connection=EVIL),
        jobs_page(Overview(shown(None, EVIL, conn_id=EVIL, query="?connection=x"), is_kept=False)),
        job_page(details),
        run_page(run_details(EVIL_NODES, phases=[Phase(EVIL, 1.0, 0.0, 100.0, EVIL)])),
        run_page(run_details([])),
        run_page(RunDetails(run(), is_unreadable=True)),
        run_page(RunDetails(run(state="running"), live=LiveRun([EVIL_LIVE]))),
    ):
        scripts = [attributes for tag, attributes in Tags(text).found if tag == "script"]
        assert [script["src"] for script in scripts if script] in (
            ["./static/page.js"],
            ["../static/page.js"],
            ["../../../static/page.js", "../../../static/timeline.js"],
        )
        assert "img" not in {tag for tag, _ in Tags(text).found}
        assert not [
            name
            for _, attributes in Tags(text).found
            for name in attributes
            if name.startswith("on") or name == "style"
        ]
        assert "&lt;script&gt;alert" in text


def test_templates_use_only_relative_links(details: JobDetails) -> None:
    dag_run = DagRun("sales", "manual__1")
    texts = (
        jobs_page(Overview(shown(), [job(1, run(dag_run=dag_run))], projects=[3])),
        job_page(details),
        run_page(run_details(EVIL_NODES, run=run(dag_run=dag_run))),
    )
    links = [tag.get("href") or tag.get("src") for text in texts for _, tag in Tags(text).found]

    assert "./../dags/sales/runs/manual__1" in links
    assert "../../../../dags/sales/runs/manual__1" in links
    assert not [link for link in links if link and link.startswith("/")]


def test_long_dag_name_breaks_after_an_underscore_and_stays_text() -> None:
    dag_run = DagRun("load_<b>sales", "manual__1")

    text = jobs_page(Overview(shown(), [job(1, run(dag_run=dag_run))], projects=[3]))

    assert ">load_<wbr>&lt;b&gt;sales</a>" in text


def test_job_page_flags_slower_and_unusual_models_and_marks_failures(details: JobDetails) -> None:
    text = job_page(details)

    assert (text.count(">slower<"), text.count(">unusual<")) == (1, 1)
    assert '<tr class="outlier error">' in text
    assert "▲ 3.0" in text
    assert "<small>3.00 s</small>" in text
    assert [text.count(f">{mark}</td>") for mark in "·✗!"] == [1, 2, 1]
    assert "1 stored file of this job cannot be read" in text


def test_heat_map_links_each_column_to_its_run(details: JobDetails) -> None:
    links = [tag["href"] for name, tag in Tags(job_page(details)).found if name == "a"]

    assert [link for link in links if link and "/runs/" in link][:5] == [
        f"../jobs/65767/runs/{run_id}" for run_id in range(3, 8)
    ]


def test_job_page_limits_the_heat_map_to_fifty_nodes(details: JobDetails) -> None:
    details.failures[:] = [RecurringFailure("model a", ["error"], "")] * 51

    text = job_page(details)

    assert text.count("<summary>model a</summary>") == 50
    assert "1 more nodes failed or warned" in text


def test_job_page_shows_a_hundred_models_and_leads_to_all(details: JobDetails) -> None:
    times = [RunTime(f"model_{place}", 1.0, []) for place in range(101)]
    many = replace(details, times=times)

    some = job_page(many, "?connection=x")
    every = job_page(many, all_models=True)

    link = '<a href="../jobs/65767?models=all&amp;connection=x">All 101 models</a>'
    assert link in some
    assert (some.count(">model_"), every.count(">model_")) == (100, 101)
    assert "All 101 models" not in every + job_page(replace(many, times=times[:100]))


@pytest.mark.parametrize(("length", "is_folded"), [(30, False), (31, True)])
def test_run_page_folds_a_long_critical_path(length: int, is_folded: bool) -> None:
    chain = [
        node(f"model.shop.m{place}", place, place + 1, parents=(place - 1,) if place else ())
        for place in range(length)
    ]

    text = run_page(run_details(chain))

    assert (f"<summary>Table of the {length} nodes on the path</summary>" in text) is is_folded
    assert text.count(", on the critical path") == length


def test_jobs_page_shows_a_job_without_runs_and_a_failed_list_of_jobs() -> None:
    never = Job(1, [], JobSettings("Weekly", "Shop", "Production", starts="Schedule"))
    listed = JobList(problem="dbt Cloud returned 503")

    text = jobs_page(Overview(shown(listed=listed), [never, job(2)]))

    assert '<th scope="row">Weekly</th>' in text
    assert '<span class="state">never run</span>' in text
    assert '<td data-is="Started by">Schedule</td>' in text
    assert "next runs may be missing: dbt Cloud returned 503" in text


@pytest.mark.parametrize(
    ("status", "mark"),
    [
        *((status, "·") for status in ("success", "pass", "reused", "no-op")),
        *((status, "✗") for status in ("error", "partial success", "cancelled", "Success")),
        ("warn", "!"),
        ("", ""),
    ],
)
def test_job_page_marks_each_status(details: JobDetails, status: str, mark: str) -> None:
    details.failures[:] = [RecurringFailure("model orders", [status], "")]

    assert f'title="{status}">{mark}</td>' in job_page(details)


def test_jobs_page_links_to_the_keeping_dag_when_nothing_is_kept() -> None:
    text = jobs_page(Overview(shown(), is_kept=False))

    assert "No runs are stored yet." in text
    assert 'href="./../dags/keep"' in text


def test_jobs_page_names_host_and_account() -> None:
    assert "Account 16173 on localhost:8580" in jobs_page()


def test_pages_of_several_accounts_keep_the_connection_in_their_links(details: JobDetails) -> None:
    query = "?connection=dbt_cloud_eu"
    overview = Overview(shown(query=query), [job(1)], projects=[3], is_kept=False)

    text = jobs_page(overview, Overview(shown(None, "no such connection", "missing", "?x")))

    assert 'href="./jobs/1?connection=dbt_cloud_eu"' in text
    assert 'href="./docs/3?connection=dbt_cloud_eu"' in text
    assert "<h2>Account 16173 on localhost:8580</h2>" in text
    assert "<h2>Connection missing</h2>" in text
    assert "Could not read which account to show: no such connection" in text
    details_page = job_page(details, query)
    assert f'href="../docs/36467{query}"' in details_page
    assert f'href="../jobs/65767/runs/7{query}"' in details_page
    assert f'href="../../../jobs/65767{query}"' in run_page(run_details([]), query)
    assert "<dd>16173 on localhost:8580</dd>" in details_page


def test_run_page_shows_failure_path_bars_and_table() -> None:
    failed = node("model.shop.a", 0, 2, status="error", message="LINE 7: x")
    skipped = node("model.shop.b", parents=(0,), status="skipped", thread=None)
    dag_run = DagRun("sales", "manual__1")

    text = run_page(run_details([failed, skipped], run=run(dag_run=dag_run)))

    assert '<h3>model a <span class="state error">error</span> SQL line 7</h3>' in text
    assert "1 skipped because of it: model b" in text
    assert ">Dag run manual__1 of sales</a>" in text
    rects = [values for tag, values in Tags(text).found if tag == "rect" and "data-row" in values]
    assert [(one["class"], one["x"], one["width"]) for one in rects] == [
        ("error", "0.0%", "100.0%")
    ]
    assert "Table of all 2 nodes" in text
    link = '<a href="../../../jobs/65767/model?id=model.shop.b">model b</a>'
    assert f'<tr id="n1"><td>{link}</td><td>skipped</td>' in text


def test_run_page_states_how_long_unlimited_threads_take() -> None:
    nodes = [node("a", 0, 4), node("c", 4, 8), node("b", 8, 12, 1, (0,))]

    text = run_page(run_details(nodes))

    assert "the nodes take 8.0 s instead of 12.0 s with 1 thread, the run 8.0 s instead" in text
    assert '<td class="number">50 %</td><td>4.00 s for a thread</td>' in text


def test_run_page_states_that_more_threads_save_no_time() -> None:
    nodes = [node("a", 0, 4), node("b", 4, 8, 1, (0,)), node("c", 0, 3, 2)]

    text = run_page(run_details(nodes))

    assert "More threads save no time" in text
    assert "takes 8.0 s, as long as all nodes with 2 threads." in text


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (
            RunDetails(run(state="running")),
            "The run is running, and dbt's log has no node yet.",
        ),
        (
            RunDetails(run(state="running"), live=LiveRun(problem=EVIL)),
            "What it is doing could not be read from dbt Cloud: &#34;&gt;",
        ),
        (RunDetails(run(state="success")), "</a> with the run's number 7."),
        (run_details([]), "The run has no results of nodes"),
        (run_details([node("a", 0, 1)], timeline=None), "An earlier version stored this run"),
        (RunDetails(run(), is_unreadable=True), "The stored file of this run cannot be read"),
        (run_details([node("a", seconds=2.0)]), "No node has a start and an end"),
        (run_details([node("a", 0, 3600, seconds=1.0)]), "The times of 1 node does not fit"),
        (run_details([node("a", 0, 1), node("b", 1, 2, 1, None)]), "lacks 1 of 2 nodes"),
        (
            run_details([node("a", 0, 1), node("b", 1, 2, 1, (2,)), node("c", 1, 2, 1, (1,))]),
            "wait for each other in a cycle",
        ),
    ],
)
def test_run_page_states_what_is_missing(found: RunDetails, sentence: str) -> None:
    assert sentence in run_page(found)


def test_page_of_a_stored_run_does_not_refresh() -> None:
    assert 'data-seconds="0"' in run_page(run_details([]))
    assert 'data-seconds="5"' in run_page(RunDetails(run(state="running")))


def test_content_security_policy_allows_only_the_pages_own_script() -> None:
    response = page(REQUEST, "message.html", 403, text=EVIL)

    assert response.status_code == 403
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'; script-src 'self'" in policy
    assert "unsafe" not in policy

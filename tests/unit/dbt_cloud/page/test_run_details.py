"""Tests of a run's page: phases, failures, and runs of which only a part is known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import ObjectStoragePath

from include.dbt_cloud.page.live_run import LiveRun
from include.dbt_cloud.page.newest_runs import RecentRuns
from include.dbt_cloud.page.run_details import RunDetails, path_of, run_details_of, sql_line
from include.dbt_cloud.page.started_by import DagRun
from include.dbt_cloud.reports.history import History
from include.dbt_cloud.reports.results import Results
from include.dbt_cloud.reports.timeline import stored_timeline
from tests.unit.dbt_cloud.page.test_content import DAILY, HOURLY, no_dag_runs, run
from tests.unit.dbt_cloud.reports.test_timeline import MANIFEST, NODES, TEST, A, B, C, node

NOT_FINISHED: dict[str, Any] = {"finished_at": None}
ERROR = "Database Error in model a (models/a.sql)\n  LINE 15: opened_on"


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(ObjectStoragePath(f"file://{tmp_path}/history"))


def steps(**more: Any) -> list[dict[str, Any]]:
    """Return the steps of run 1: it was created at 10:01:00 and started ten seconds later."""
    times = [("Clone Git repository", 10, 12), ("Invoke dbt with `dbt build`", 12, 40)]
    return [
        {
            "index": index,
            "name": name,
            "status": 10,
            "started_at": f"2026-11-25 10:01:{begin}+00:00",
            "finished_at": f"2026-11-25 10:01:{end}+00:00",
            **more,
        }
        for index, (name, begin, end) in enumerate(times, start=3)
    ]


def keep(history: History, nodes: list[Any], manifest: Any = MANIFEST, **more: Any) -> None:
    results = Results(run(1, run_steps=steps(), **more), nodes)
    history.keep(results, stored_timeline(results, manifest))


LIVE_LOG = "10:01:15  1 of 2 START sql view model shop.a ... [RUN]\n"


def read_live(run_id: int) -> LiveRun:
    clone, build = steps()
    active = {**build, "status": 3, "logs": LIVE_LOG, **NOT_FINISHED}
    return LiveRun.of({"id": run_id, "run_steps": [clone, active]})


def details(history: History, recent: RecentRuns | None = None) -> RunDetails:
    found = run_details_of(DAILY, 1, recent or RecentRuns(), history, no_dag_runs, read_live)
    assert found
    return found


def test_phases_separate_queue_steps_and_the_start_up_of_dbt(history: History) -> None:
    """Created :00, started :10, nodes 61 to 69 s after 10:00, that is :01 to :09 after 10:01."""
    keep(history, [node(A, 75.0, 79.25), node(B, 79.25, 83.0, "Thread-2")])

    phases = details(history).phases

    assert [(phase.name, phase.seconds, phase.is_part) for phase in phases] == [
        ("Queued", 10, False),
        ("Clone Git repository", 2, False),
        ("Invoke dbt with `dbt build`", 28, False),
        ("dbt's start-up", 3, True),
        ("nodes", 8, True),
        ("dbt's end", 17, True),
    ]
    assert [(phase.x, phase.width) for phase in phases[:3]] == [(0, 25), (25, 5), (30, 70)]


def test_phases_leave_out_negative_times(history: History) -> None:
    keep(history, [node(A, 1.0, 5.25)], created_at="2026-11-25 11:00:00+00:00")

    phases = details(history).phases

    assert [phase.name for phase in phases[:2]] == [
        "Clone Git repository",
        "Invoke dbt with `dbt build`",
    ]
    assert all(phase.seconds >= 0 and 0 <= phase.x <= 100 for phase in phases)


def test_failure_has_message_sql_line_and_skipped_nodes(history: History) -> None:
    failed = node(A, 75, 76, status="error", message=ERROR)
    skipped = [node(one, 0, 0, started_at=None, ended_at=None, status="skipped") for one in (B, C)]
    keep(history, [failed, *skipped], status=20)

    found = details(history)

    (failure,) = found.failures
    assert (failure.name, failure.status, failure.line) == ("model a", "error", "15")
    assert "opened_on" in failure.message
    assert (failure.skipped, found.other_skipped) == (["model b"], 1)


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("Catalog Error: no table\n  LINE 15:         opened_on,", "15"),
        ("001003 (42000): SQL compilation error:\nsyntax error line 12 at position 4", "12"),
        ("Syntax error: Expected end of input but got keyword FROM at [7:3]", "7"),
        ("[PARSE_SYNTAX_ERROR] Syntax error at or near 'fro'.(line 4, pos 2)", "4"),
        ("Got 3 results, configured to fail if != 0", ""),
        ("", ""),
    ],
)
def test_sql_line_is_read_from_the_messages_of_warehouses(message: str, line: str) -> None:
    assert sql_line(message) == line


def test_unlimited_threads_save_what_nodes_waited(history: History) -> None:
    """A 4 s and B 4 s are a chain, C 4 s ran between them: 12 s of nodes, 8 s on the path."""
    depends_on = {A: [], B: [A], C: []}
    manifest = {"nodes": {key: {"depends_on": {"nodes": one}} for key, one in depends_on.items()}}
    keep(history, [node(A, 75, 79), node(C, 79, 83), node(B, 83, 87)], manifest)

    found = details(history)

    assert found.run.seconds == 30.5
    assert (found.path.seconds, found.path.wall_seconds, found.saved_seconds) == (8, 12, 4)
    assert {place: link.waited for place, link in found.critical.items()} == {0: 0, 2: 4}


def test_unlimited_threads_save_an_unknown_time_after_a_clock_jump(history: History) -> None:
    keep(history, [node(A, 75, 79), node(B, 79, 3690, seconds=4.0)])

    found = details(history)

    assert (found.path.contradictions, found.saved_seconds) == (1, None)


def test_file_of_an_earlier_version_shows_its_nodes_without_a_path(history: History) -> None:
    keep(history, NODES)
    file = Path(history.folder.path, str(DAILY), "1.json")
    content = json.loads(file.read_text())
    del content["timeline"]
    file.write_text(json.dumps(content))

    found = details(history)

    assert (found.timeline, found.chart, found.critical, found.saved_seconds) == (None,) * 2 + (
        {},
        None,
    )
    assert [one.node.unique_id for one in found.nodes] == [B, A, C]
    assert [phase.name for phase in found.phases] == ["Queued"]


def test_run_without_a_manifest_has_a_chart_and_no_path(history: History) -> None:
    keep(history, NODES, None)

    found = details(history)

    assert found.chart
    assert (found.critical, found.saved_seconds) == ({}, None)


def test_listed_run_that_is_not_stored_has_no_nodes(history: History) -> None:
    found = details(history, RecentRuns([run(1)]))

    assert (found.results, found.nodes, found.live, found.chart) == (None, [], LiveRun(), None)


def test_active_run_has_the_nodes_and_steps_of_its_log(history: History) -> None:
    found = details(history, RecentRuns([run(1, status=3, **NOT_FINISHED)]))

    assert (found.run.state, found.nodes, found.failures) == ("running", [], [])
    assert [one.node.label for one in found.live.nodes] == ["shop.a"]
    assert found.chart
    assert [(bar.state, bar.x, bar.width) for bar in found.chart.bars] == [("running", 0, 100)]
    assert [(phase.name, phase.state) for phase in found.phases] == [
        ("Queued", ""),
        ("Clone Git repository", "success"),
        ("Invoke dbt with `dbt build`", "running"),
    ]


def test_stored_run_is_not_read_again_while_dbt_cloud_lists_it_as_active(history: History) -> None:
    keep(history, NODES)

    found = details(history, RecentRuns([run(1, status=3, **NOT_FINISHED)]))

    assert found.live == LiveRun()


def test_damaged_file_of_a_listed_run_is_reported(history: History) -> None:
    keep(history, NODES)
    Path(history.folder.path, str(DAILY), "1.json").write_text("{")

    assert details(history, RecentRuns([run(1)])).is_unreadable
    assert run_details_of(DAILY, 1, RecentRuns(), history, no_dag_runs, read_live) is None


def test_run_of_another_job_is_not_found(history: History) -> None:
    recent = RecentRuns([run(1)])

    assert run_details_of(HOURLY, 1, recent, history, no_dag_runs, read_live) is None


def test_run_has_the_dag_run_that_started_it(history: History) -> None:
    keep(history, NODES)

    dag_run = DagRun("sales", "manual")

    found = run_details_of(
        DAILY, 1, RecentRuns(), history, lambda runs: {runs[0]["id"]: dag_run}, read_live
    )

    assert found
    assert found.run.dag_run == dag_run


def test_failed_step_is_named_if_no_node_failed(history: History) -> None:
    failed = Results(run(1, status=20, run_steps=steps(status=20)), [node(TEST, 75, 76)])
    history.keep(failed, stored_timeline(failed, None))

    found = details(history)

    assert found.failures == []
    assert found.failed_step
    assert found.failed_step.name == "Clone Git repository"


def test_path_is_that_of_the_run_with_the_url(history: History) -> None:
    url = "https://localhost/deploy/16173/projects/36467/runs/1/"
    listed = {"id": 1, "job_definition_id": DAILY}

    assert path_of(url, RecentRuns([listed | {"href": url}]), history) == f"jobs/{DAILY}/runs/1"
    for other in (listed, listed | {"href": None}, listed | {"href": f"{url}?"}, {}):
        assert path_of(url, RecentRuns([other]), history) is None

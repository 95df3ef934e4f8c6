"""Tests of the stored timeline: its size, earlier files, and damaged ones."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import ObjectStoragePath
from msgspec.structs import replace

from include.dbt_cloud.api.artifacts import Node, nodes_in
from include.dbt_cloud.reports.history import History
from include.dbt_cloud.reports.results import Results
from include.dbt_cloud.reports.timeline import (
    Timeline,
    nearest,
    parents_in_run,
    stored_timeline,
)

JOB, MAX_BYTES = 65767, 80  # per node
BEGIN = datetime(2026, 11, 25, 10, 0, tzinfo=UTC)
A, B, C, TEST = "model.shop.a", "model.shop.b", "model.shop.c", "test.shop.unique_a.f00"
EPHEMERAL = "model.shop.between"
MANIFEST: dict[str, Any] = {
    "nodes": {
        A: {"depends_on": {"nodes": ["source.shop.raw.a"]}},
        EPHEMERAL: {"depends_on": {"nodes": [A]}},
        B: {"depends_on": {"nodes": [EPHEMERAL, A]}},
        TEST: {"depends_on": {"nodes": [A]}},
    }
}
STEPS = [
    {
        "index": 4,
        "name": "Invoke dbt with `dbt build`",
        "status": 10,
        "started_at": "2026-11-25 09:59:55.000000+00:00",
        "finished_at": "2026-11-25 10:00:09.000000+00:00",
        "logs": "very long",
    }
]


def results(nodes: list[Node], run_id: int = 7) -> Results:
    run = {"id": run_id, "job_definition_id": JOB, "status": 10, "run_steps": STEPS}
    return Results(run, nodes)


def node(unique_id: str, start: float, end: float, thread: str = "Thread-1", **more: Any) -> Node:
    started_at, ended_at = (BEGIN + timedelta(seconds=one) for one in (start, end))
    usual = Node(unique_id, "success", end - start, "", 4)
    timed = replace(usual, started_at=started_at, ended_at=ended_at, thread=thread)
    return replace(timed, **more)


NODES = [
    node(B, 5.254, 9.0, "Thread-58 (worker)", rows=120),
    node(A, 1.0, 5.25, "Thread-57 (worker)"),
    Node(C, "skipped", 0.0, "", 4),
]


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(ObjectStoragePath(f"file://{tmp_path}/history"))


def test_timeline_has_seconds_threads_rows_and_places_of_parents() -> None:
    stored = stored_timeline(results(NODES), MANIFEST)

    assert stored["origin"] == "2026-11-25T10:00:01+00:00"
    assert stored["nodes"] == [
        [4.25, 8.0, 2, 120, [1]],
        [0.0, 4.25, 1, None, []],
        [None, None, None, None, None],  # it is not in the manifest
    ]
    assert stored["steps"] == [{key: STEPS[0][key] for key in (*STEPS[0],) if key != "logs"}]


def test_threads_are_numbered_by_first_start_in_each_step() -> None:
    nodes = [
        node(A, 2, 3, "Thread-9"),
        node(B, 0, 5, "Thread-12"),
        node(A, 10, 11, "Thread-15", step=5),
        node(B, 11, 12, "Thread-15", step=5),
        node(C, 11, 12, "", step=5),
    ]

    assert [one[2] for one in stored_timeline(results(nodes), {})["nodes"]] == [2, 1, 1, 1, None]


def test_history_returns_the_timeline_that_was_kept(history: History) -> None:
    history.keep(results(NODES), stored_timeline(results(NODES), MANIFEST))

    kept = history.timeline(JOB, 7)

    assert kept
    found, timeline = kept
    assert timeline
    assert timeline.origin == BEGIN + timedelta(seconds=1)
    assert [one.node for one in timeline.nodes] == found.nodes
    assert [(one.start, one.end, one.thread, one.rows, one.parents) for one in timeline.nodes] == [
        (4.25, 8.0, 2, 120, (1,)),
        (0.0, 4.25, 1, None, ()),
        (None, None, None, None, None),
    ]
    (step,) = timeline.steps
    assert (step.index, step.status, step.started_at) == (4, 10, BEGIN - timedelta(seconds=5))


def test_folders_are_those_of_the_dbt_project_and_its_packages(history: History) -> None:
    fqns = {
        A: ["shop", "staging", "raw", "a"],
        B: ["shop", "b"],
        C: ["utils", "marts", "c"],
        TEST: "shop.unique",
    }
    manifest = {"metadata": {"project_name": "shop"}} | {
        "nodes": {key: {"fqn": fqn} for key, fqn in fqns.items()}
    }
    kept = results([*NODES, node(TEST, 9, 10)])
    history.keep(kept, stored_timeline(kept, manifest))

    found = history.timeline(JOB, 7)

    assert found
    assert found[1]
    assert found[1].folders == {"staging/raw": [1], "utils/marts": [2]}


def test_timeline_of_an_earlier_version_has_no_folders(history: History) -> None:
    stored = stored_timeline(results(NODES), MANIFEST)
    del stored["folders"]
    history.keep(results(NODES), stored)

    found = history.timeline(JOB, 7)

    assert found
    assert found[1]
    assert found[1].folders == {}


def test_history_reads_files_of_earlier_versions_without_a_timeline(history: History) -> None:
    history.keep(results(NODES))
    file = Path(history.folder.path, str(JOB), "7.json")
    content = json.loads(file.read_text())
    del content["timeline"]  # as earlier versions wrote it
    file.write_text(json.dumps(content))

    kept = history.timeline(JOB, 7)

    assert kept
    assert [len(kept[0].nodes), kept[1]] == [3, None]
    assert history.timeline(JOB, 8) is None


@pytest.mark.parametrize("parents", [0, 3, 9])
def test_file_grows_by_at_most_max_bytes_per_node(history: History, parents: int) -> None:
    """A run of three hours with 2,000 nodes, of which each has so many parents."""
    ids = [f"model.shop.model_{place}" for place in range(2000)]
    nodes = [
        node(one, 5.37 * place, 5.37 * place + 12.34, f"Thread-{place % 16}", rows=1234567)
        for place, one in enumerate(ids)
    ]
    depends_on = {
        one: {
            "depends_on": {"nodes": ids[max(0, place - parents) : place]},
            "fqn": ["shop", "marts", f"area_{place % 9}", f"model_{place}"],
        }
        for place, one in enumerate(ids)
    }
    sizes = []
    for timeline in (None, stored_timeline(results(nodes), {"nodes": depends_on})):
        history.keep(results(nodes), timeline)
        sizes.append(Path(history.folder.path, str(JOB), "7.json").stat().st_size)

    assert 0 < sizes[1] - sizes[0] <= MAX_BYTES * len(nodes)


GOOD: dict[str, Any] = {"origin": None, "steps": [], "nodes": [[0, 1, 1, None, []]]}


@pytest.mark.parametrize(
    "bad",
    [
        7,
        [],
        {},
        {"nodes": []},
        {"nodes": [[0, 1, 1, None, []]] * 2},
        {"nodes": [[0, 1, 1, None]]},
        {"nodes": [["soon", 1, 1, None, []]]},
        {"nodes": [[0, 1, 1, None, [1]]]},
        {"nodes": [[0, 1, 1, None, [-1]]]},
        {"steps": [{}]},
        {"folders": []},
        {"folders": {"marts": [1]}},
        {"folders": {"marts": ["a"]}},
        {"steps": None},
    ],
    ids=str,
)
def test_history_reports_a_damaged_timeline(
    history: History, caplog: pytest.LogCaptureFixture, bad: Any
) -> None:
    history.keep(results(NODES[1:2]), {**GOOD, **bad} if isinstance(bad, dict) and bad else bad)

    with caplog.at_level(logging.WARNING):
        assert history.timeline(JOB, 7) is None

    assert f"{JOB}/7.json (" in caplog.text
    assert [one.run["id"] for one in history.results(JOB)] == [7]


def test_history_returns_none_for_a_run_that_is_not_stored(history: History) -> None:
    assert history.timeline(JOB, 7) is None


@pytest.mark.parametrize("manifest", [None, {}, [], {"nodes": None}, {"nodes": {A: 7}}], ids=str)
def test_parents_are_unknown_without_a_usable_manifest(manifest: Any) -> None:
    assert not any(parents_in_run(results(NODES), manifest).values())


def test_nearest_ancestors_skip_nodes_outside_the_run_and_survive_cycles() -> None:
    parents = {"c": ["b", "x"], "b": ["a"], "a": [], "x": ["y"], "y": ["x", "a", "c"]}

    assert nearest("c", parents, {"a", "c"}) == {"a"}
    assert nearest("c", parents, {"a", "b", "c"}) == {"a", "b"}


def test_node_has_the_times_of_compiling_and_executing() -> None:
    timing = [
        {"name": "compile", "started_at": "2026-11-25T10:00:00Z", "completed_at": None},
        {
            "name": "execute",
            "started_at": "2026-11-25T10:00:01Z",
            "completed_at": "2026-11-25T10:00:04Z",
        },
    ]
    results = [
        {"unique_id": A, "timing": timing, "thread_id": "Thread-1", "execution_time": 4.1},
        {"unique_id": B, "timing": timing[:1], "execution_time": 2.5},  # failed in compiling
        {"unique_id": C, "timing": []},
    ]

    nodes = nodes_in({"results": results}, 4)

    assert [(one.started_at, one.ended_at) for one in nodes] == [
        (BEGIN, BEGIN + timedelta(seconds=4)),
        (BEGIN, BEGIN + timedelta(seconds=2.5)),
        (None, None),
    ]
    assert [one.thread for one in nodes] == ["Thread-1", "", ""]


def test_empty_timeline_is_read() -> None:
    assert Timeline.read({"origin": None, "steps": [], "nodes": []}, []) == Timeline(None, [], [])

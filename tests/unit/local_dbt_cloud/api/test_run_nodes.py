"""Tests of the nodes on a run's page, with places worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from include.local_dbt_cloud.api.run_nodes import StepNodes, lineage_of, name_of, nodes_of_steps
from include.local_dbt_cloud.runs.run_folder import RunFolder

A, B, C, D = (f"model.shop.{name}" for name in "abcd")
TEST = "test.shop.unique_a.f00"
MANIFEST = {
    "nodes": {
        A: {
            "compiled_path": "/runs/1/target/compiled/shop/models/a.sql",
            "fqn": ["shop", "marts", "daily", "a"],
        }
    },
    "child_map": {A: [TEST, B], B: [C], C: [], TEST: []},
    "parent_map": {TEST: [A], B: [A], C: [B], A: ["source.shop.raw.a"]},
}


def result(unique_id: str, begin: float | None = None, end: float = 0.0, **more: Any) -> Any:
    times = {"started_at": f"2026-11-25T10:00:0{begin}", "completed_at": f"2026-11-25T10:00:0{end}"}
    fixed = {"unique_id": unique_id, "status": "success", "message": None, "thread_id": "Thread-1"}
    timing = [] if begin is None else [{"name": "execute", **times}]
    return {**fixed, "execution_time": end - (begin or 0), "timing": timing, **more}


def write(folder: Path, index: int, results: Any, which: str = "build", run: str = "") -> RunFolder:
    artifacts = RunFolder(folder).artifacts(index)
    artifacts.mkdir(parents=True)
    content = {"metadata": {"invocation_id": run or f"{index}"}, "args": {"which": which}}
    (artifacts / "run_results.json").write_text(json.dumps({**content, "results": results}))
    (artifacts / "manifest.json").write_text(json.dumps(MANIFEST))
    return RunFolder(folder)


def nodes(folder: RunFolder) -> StepNodes:
    (found,) = nodes_of_steps(folder, [3]).values()
    return found


def test_bars_are_in_the_lane_of_their_thread(tmp_path: Path) -> None:
    results = [
        result(B, 2.0, 4.0),
        result(A, 0.0, 2.0),
        result(TEST, 1.0, 3.0, thread_id="Thread-2", status="pass"),
        result(C, 4.0, 4.0, status="warn"),
        result(D, status="skipped"),
    ]

    found = nodes(write(tmp_path, 3, results))

    assert [(bar.name, bar.kind, bar.lane, bar.x, bar.width) for bar in found.bars] == [
        ("model a", "built", 0, 0, 50),
        ("test unique_a", "test", 1, 25, 50),
        ("model b", "built", 0, 50, 50),
        ("model c", "warned", 0, 100, 0.2),
        ("model d", "built", 0, 0, 0),
    ]
    assert (found.threads, found.height, found.seconds) == (2, 40, 4.0)
    assert [bar.start for bar in found.bars] == [0, 1, 2, 4, None]


def test_failure_has_its_message_sql_and_skipped_nodes(tmp_path: Path) -> None:
    results = [
        result(A, 0.0, 1.0, status="error", message="LINE 7"),
        *(result(one, status="skipped") for one in (B, C, D)),
        result(TEST, 1.0, 2.0, status="fail"),
    ]

    first, second = nodes(write(tmp_path, 3, results)).failures

    assert (first.step, first.name, first.status) == (3, "model a", "error")
    assert first.message == "LINE 7"
    assert first.sql == "compiled/shop/models/a.sql"
    assert first.skipped == ["model b", "model c"]  # d has another reason
    assert (second.name, second.sql, second.skipped) == ("test unique_a", "", [])
    assert second.message == "dbt gave no message."


def test_steps_without_results_of_their_own_have_no_nodes(tmp_path: Path) -> None:
    write(tmp_path, 3, [result(A, 0.0, 1.0)], run="one")
    write(tmp_path, 4, [result(A, 0.0, 1.0)], run="one")  # a copy of the step before
    write(tmp_path, 5, [result(A, 0.0, 1.0)], which="generate")
    write(tmp_path, 6, [result(A, 0.0, 1.0)], which="retry")

    assert [*nodes_of_steps(RunFolder(tmp_path), [1, 3, 4, 5, 6])] == [3, 6]


def test_lineage_has_last_results_nearest_parents_and_folders(tmp_path: Path) -> None:
    """The parent of C is B, which is not in the run, and the parent of B is A."""
    write(tmp_path, 3, [result(A, 0.0, 1.0, status="error", message="LINE 7"), result(C)])
    write(tmp_path, 4, [result(A, 0.0, 2.0), result(TEST, 0.0, 1.0, status="warn")])

    a, c, test = lineage_of(RunFolder(tmp_path), [3, 4])

    assert (a["name"], a["state"], a["seconds"], a["message"]) == ("model a", "success", 2.0, "")
    assert (a["parents"], a["folder"], a["is_test"]) == ([], "marts/daily", False)
    assert (c["parents"], c["folder"]) == ([0], "")
    assert (test["parents"], test["state"], test["is_test"]) == ([0], "warn", True)


@pytest.mark.parametrize("content", ["", "[]", "{", '{"args": null, "metadata": null}'])
def test_unreadable_results_have_no_nodes(tmp_path: Path, content: str) -> None:
    folder = write(tmp_path, 3, [])
    (folder.artifacts(3) / "run_results.json").write_text(content)

    assert nodes_of_steps(folder, [3]) == {}


def test_results_without_times_are_only_in_the_table(tmp_path: Path) -> None:
    bare = {"unique_id": A, "status": "success"}  # as dbt 2.0 may write it

    found = nodes(write(tmp_path, 3, [bare]))

    assert [(bar.name, bar.seconds, bar.start) for bar in found.bars] == [("model a", 0.0, None)]
    assert (found.threads, found.failures) == (0, [])


def test_name_of_a_test_has_no_hash() -> None:
    names = ["test.shop.unique_a.f00", "unit_test.shop.a.counts", "model.shop.a.v2"]

    assert [*map(name_of, names)] == ["test unique_a", "unit_test a.counts", "model a.v2"]

"""Tests of the history files, which are written atomically."""

from __future__ import annotations

import json
import logging
import math
import resource
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import ObjectStoragePath
from airflow.sdk.io import store
from fsspec.implementations.local import LocalFileSystem

from include.dbt_cloud.api.artifacts import Node
from include.dbt_cloud.reports import history as history_module
from include.dbt_cloud.reports.history import History
from include.dbt_cloud.reports.results import Results

JOB = 65767
NODES = [
    Node("model.shop.orders", "success", 1.234, "OK", 4, relation='"w"."a"."orders"'),
    Node("test.shop.unique_orders.a1", "fail", 0.1, "Got 3 results\nand more", 4),
    Node("test.shop.late_orders.b2", "warn", 0.1, "Got 1 result", 4),
]


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(ObjectStoragePath(f"file://{tmp_path}/history"))


def results(run_id: int, job_id: int = JOB) -> Results:
    run: dict[str, Any] = {
        "id": run_id,
        "job_definition_id": job_id,
        "status": 20,
        "href": f"https://localhost/runs/{run_id}/",
        "job": {"name": "Daily build", "execute_steps": ["dbt build"]},
        "trigger": {"cause": "Scheduled", "cause_category": "other", "schema_override": None},
        "run_steps": [{"logs": "very long"}],
    }
    return Results(run, NODES)


def test_history_stores_only_the_fields_the_report_needs(history: History, tmp_path: Path) -> None:
    history.keep(results(7))

    (kept,) = history.results(JOB)
    assert (kept.run["id"], kept.run["job"]) == (7, {"name": "Daily build"})
    assert kept.run["trigger"] == {"cause": "Scheduled", "cause_category": "other"}
    assert kept.model_seconds == {"model.shop.orders": 1.23}
    assert [(node.name, node.message) for node in kept.failed] == [
        ("unique_orders", "Got 3 results\n    and more")
    ]
    text = (tmp_path / "history" / str(JOB) / "7.json").read_text()
    assert "very long" not in text
    assert "OK" not in text


def test_history_lists_only_jobs_and_runs_newest_first(history: History) -> None:
    for run_id, job_id in ((9, JOB), (10, JOB), (8, 1)):
        history.keep(results(run_id, job_id))
    (history.folder / "docs").mkdir()
    (history.folder / str(JOB) / ".11.json.part").write_text("{")

    assert history.jobs() == [JOB, 1]
    assert history.runs(JOB) == [10, 9]
    assert [one.run["id"] for one in history.results(JOB, most=1)] == [10]


def test_history_is_empty_for_a_job_that_never_ran(history: History) -> None:
    assert (history.jobs(), history.runs(JOB), history.results(JOB)) == ([], [], [])


class ObjectStore(LocalFileSystem):  # type: ignore[misc]  # fsspec has no types
    """A store with cached listings, like S3, Google Cloud and Azure."""

    def ls(self, path: str, detail: bool = False, **_: Any) -> list[Any]:
        listed: list[Any] = self.dircache.setdefault(path, super().ls(path, detail=True))
        return listed if detail else [one["name"] for one in listed]

    def invalidate_cache(self, path: str | None = None) -> None:
        self.dircache.pop(path, None)


def test_history_lists_files_of_other_processes_in_an_object_store(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    fs = ObjectStore(skip_instance_cache=True)
    monkeypatch.setitem(store._STORE_CACHE, "file", store.ObjectStore("file", None, fs))
    history.keep(results(7))
    assert (history.jobs(), history.runs(JOB)) == ([JOB], [7])

    Path(history.folder.path, "1").mkdir()
    Path(history.folder.path, str(JOB), "8.json").write_text("{}")

    assert (history.jobs(), history.runs(JOB)) == ([JOB, 1], [8, 7])


def test_history_parses_the_head_of_a_run_once(history: History) -> None:
    history.keep(results(7))
    (head,) = history.heads(JOB, most=10)

    history_module.parsed.cache_clear()  # as after many other reads

    assert history.heads(JOB, most=10) == [head]
    assert history_module.parsed.cache_info().misses == 0
    assert head["status"] == 20


def test_history_rereads_a_run_that_is_kept_again(history: History) -> None:
    history.keep(results(7))
    assert [one["status"] for one in history.heads(JOB, most=10)] == [20]
    assert [len(one.nodes) for one in history.results(JOB)] == [3]

    history.keep(Results({**results(7).run, "status": 10}, NODES[:1]))

    assert [one["status"] for one in history.heads(JOB, most=10)] == [10]
    assert [len(one.nodes) for one in history.results(JOB)] == [1]


def test_history_rereads_a_replaced_file_of_the_same_size(
    history: History,
) -> None:
    history.keep(results(7))
    assert [one["status"] for one in history.heads(JOB, most=10)] == [20]

    file = Path(history.folder.path, str(JOB), "7.json")
    file.with_name("new").write_text(file.read_text().replace('"status":20', '"status":10'))
    file.with_name("new").replace(file)

    assert [one["status"] for one in history.heads(JOB, most=10)] == [10]


def test_history_rejects_a_run_older_than_all_kept_runs(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_module, "RUNS_PER_JOB", 3)
    for run_id in (3, 4, 5):
        assert history.keep(results(run_id))

    assert not history.keep(results(2))
    assert history.keep(results(3))  # again
    assert history.runs(JOB) == [5, 4, 3]


def test_history_ignores_file_names_that_are_not_plain_numbers(history: History) -> None:
    history.keep(results(7))
    job = Path(history.folder.path, str(JOB))
    for name in ("008.json", "-9.json", "١٢.json", "1e3.json", " 10.json", ".json", "x.json"):
        (job / name).write_text("{")
    (job.parent / "065767").mkdir()

    assert (history.jobs(), history.runs(JOB)) == ([JOB], [7])


def test_history_has_only_whole_files_after_concurrent_writes(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_module, "RUNS_PER_JOB", 3)

    def keep(number: int) -> None:
        for run_id in range(10, 30):
            run = {**results(run_id).run, "status_message": "x" * 100_000 * number}
            history.keep(Results(run, NODES))

    with ThreadPoolExecutor(4) as keepers:
        list(keepers.map(keep, range(4)))

    assert history.runs(JOB) == [29, 28, 27]
    assert len(history.results(JOB)) == 3
    assert len(list(Path(history.folder.path, str(JOB)).iterdir())) == 3


def test_history_preserves_the_previous_file_when_a_write_fails(history: History) -> None:
    history.keep(results(7))
    large = Results({**results(7).run, "status_message": "x" * 100_000}, NODES)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            history.keep(large)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    assert [one.run["status_message"] for one in history.results(JOB)] == [None]
    assert [one.name for one in Path(history.folder.path, str(JOB)).iterdir()] == ["7.json"]


def test_history_keeps_only_the_newest_runs_of_a_job(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_module, "RUNS_PER_JOB", 3)
    history.keep(results(1, job_id=1))

    for run_id in (5, 2, 3, 4, 6):
        history.keep(results(run_id))

    assert (history.runs(JOB), history.runs(1)) == ([6, 5, 4], [1])


GOOD_RUN = '{"id": 8, "job_definition_id": 65767}'
GOOD_NODE = {"unique_id": "model.shop.a", "status": "success", "seconds": 1, "step": 4}
BAD_NODES: list[dict[str, Any]] = [
    {"unique_id": 7},
    {"status": []},
    {"status": None},
    {"seconds": "long"},
    {"seconds": None},
    {"seconds": math.nan},
    {"message": {}},
    {"step": "x"},
]


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "null",
        "7",
        '"text"',
        "[" * 100_000,
        "\x00",
        "\udcff",
        '{"version": 2}',
        '{"version": 2, "run": {"id": 8}, "nodes": []}',
        '{"version": "1", "run": {}, "nodes": []}',
        '{"version": 1, "run": {}}',
        '{"version": 1, "run": [], "nodes": []}',
        '{"version": 1, "run": "x", "nodes": []}',
        '{"version": 1, "run": null, "nodes": []}',
        f'{{"version": 1, "run": {GOOD_RUN}, "nodes": null}}',
        f'{{"version": 1, "run": {GOOD_RUN}, "nodes": {{}}}}',
        f'{{"version": 1, "run": {GOOD_RUN}, "nodes": [7]}}',
        f'{{"version": 1, "run": {GOOD_RUN}, "nodes": [{{}}]}}',
        *(
            f'{{"version": 1, "run": {GOOD_RUN}, "nodes": [{json.dumps({**GOOD_NODE, **bad})}]}}'
            for bad in BAD_NODES
        ),
    ],
    ids=lambda content: content[:60],
)
def test_history_logs_a_broken_file_and_reads_the_others(
    history: History, caplog: pytest.LogCaptureFixture, content: str
) -> None:
    history.keep(results(7))
    file = Path(history.folder.path, str(JOB), "8.json")
    file.write_text(content, errors="surrogateescape")

    with caplog.at_level(logging.WARNING):
        found = history.results(JOB)
        heads = history.heads(JOB, most=10)

    assert [one.run["id"] for one in found] == [one["id"] for one in heads] == [7]
    assert f"{JOB}/8.json (" in caplog.text

    file.write_text(_good(history, 8))
    assert [one.run["id"] for one in history.results(JOB)] == [8, 7]


def _good(history: History, run_id: int) -> str:
    kept = json.loads((history.folder / str(JOB) / "7.json").read_text())
    kept["run"]["id"] = run_id
    return json.dumps(kept)

"""One small file per run, written whole or not at all."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import ObjectStoragePath
from airflow.sdk.io import store
from fsspec.implementations.local import LocalFileSystem

from include.dbt_cloud.artifacts import Node
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
        "trigger": {"cause": "Scheduled", "schema_override": None},
        "run_steps": [{"logs": "very long"}],
    }
    return Results(run, NODES)


def test_a_kept_run_says_what_the_report_s_arithmetic_needs_and_no_more(
    history: History, tmp_path: Path
) -> None:
    history.keep(results(7))

    (kept,) = history.results(JOB)
    assert (kept.run["id"], kept.run["job"]) == (7, {"name": "Daily build"})
    assert kept.run["trigger"] == {"cause": "Scheduled"}
    assert kept.model_seconds == {"orders": 1.23}
    assert [(node.name, node.message) for node in kept.failed] == [
        ("unique_orders", "Got 3 results\n    and more")
    ]
    text = (tmp_path / "history" / str(JOB) / "7.json").read_text()
    assert "very long" not in text
    assert "OK" not in text


def test_jobs_and_runs_are_listed_newest_first_and_nothing_else_is(history: History) -> None:
    for run_id, job_id in ((9, JOB), (10, JOB), (8, 1)):
        history.keep(results(run_id, job_id))
    (history.folder / "docs").mkdir()
    (history.folder / str(JOB) / ".11.json.part").write_text("{")

    assert history.jobs() == [JOB, 1]
    assert history.runs(JOB) == [10, 9]
    assert [one.run["id"] for one in history.results(JOB, most=1)] == [10]


def test_nothing_is_kept_of_a_job_that_never_ran(history: History) -> None:
    assert (history.jobs(), history.runs(JOB), history.results(JOB)) == ([], [], [])


class ObjectStore(LocalFileSystem):  # type: ignore[misc]  # fsspec has no types
    """Lists from memory what it has listed before, as those of S3, Google Cloud and Azure do."""

    def ls(self, path: str, detail: bool = False, **_: Any) -> list[str]:
        listed: list[str] = self.dircache.setdefault(path, super().ls(path))
        return listed

    def invalidate_cache(self, path: str | None = None) -> None:
        self.dircache.pop(path, None)


def test_what_another_process_keeps_is_seen_in_an_object_store(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    fs = ObjectStore(skip_instance_cache=True)
    monkeypatch.setitem(store._STORE_CACHE, "file", store.ObjectStore("file", None, fs))
    history.keep(results(7))
    assert (history.jobs(), history.runs(JOB)) == ([JOB], [7])

    Path(history.folder.path, "1").mkdir()
    Path(history.folder.path, str(JOB), "8.json").write_text("{}")

    assert (history.jobs(), history.runs(JOB)) == ([JOB, 1], [8, 7])


def test_a_run_s_head_is_read_once_however_many_runs_there_are(history: History) -> None:
    history.keep(results(7))
    (head,) = history.heads(JOB, most=10)

    history_module.parsed.cache_clear()  # as if many others had been read since
    (history.folder / str(JOB) / "7.json").write_text("{")

    assert history.heads(JOB, most=10) == [head]
    assert head["status"] == 20


def test_only_the_newest_runs_of_a_job_stay(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_module, "RUNS", 3)
    history.keep(results(1, job_id=1))

    for run_id in (5, 2, 3, 4, 6):
        history.keep(results(run_id))

    assert (history.runs(JOB), history.runs(1)) == ([6, 5, 4], [1])


def test_a_file_that_cannot_be_written_leaves_the_one_before(history: History) -> None:
    history.keep(results(7))
    (history.folder / str(JOB) / ".7.json.part").mkdir()

    with pytest.raises(IsADirectoryError):
        history.keep(results(7))

    assert [one.run["id"] for one in history.results(JOB)] == [7]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"version": 2}', '{"version": 1, "run": {}}'])
def test_a_broken_file_is_told_and_the_others_are_read(
    history: History, caplog: pytest.LogCaptureFixture, content: str
) -> None:
    history.keep(results(7))
    (history.folder / str(JOB) / "8.json").write_text(content)

    with caplog.at_level(logging.WARNING):
        found = history.results(JOB)

    assert [one.run["id"] for one in found] == [7]
    assert f"{JOB}/8.json cannot be read" in caplog.text

    (history.folder / str(JOB) / "8.json").write_text(_good(history, 8))
    assert [one.run["id"] for one in history.results(JOB)] == [8, 7]


def _good(history: History, run_id: int) -> str:
    kept = json.loads((history.folder / str(JOB) / "7.json").read_text())
    kept["run"]["id"] = run_id
    return json.dumps(kept)

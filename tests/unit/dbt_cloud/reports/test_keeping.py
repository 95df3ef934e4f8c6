"""Tests of storing real runs of the local dbt Cloud and dbt's documentation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import ObjectStoragePath

from include.dbt_cloud.airflow.compat import AirflowFailException
from include.dbt_cloud.api.accounts import Account
from include.dbt_cloud.api.responses import DbtCloudRefusedError
from include.dbt_cloud.reports import keep_runs, runs_not_kept
from include.dbt_cloud.reports.critical_path import CriticalPath
from include.dbt_cloud.reports.dbt_docs import documented_projects, newest_docs
from include.dbt_cloud.reports.history import RUNS_PER_JOB, History, write
from include.local_dbt_cloud.pytest_plugin import MakeLocalDbtCloud
from include.local_dbt_cloud.testing import LocalDbtCloud
from tests.unit.dbt_cloud.conftest import MakeTask, missing_table

JOB, PROJECT = 48618, 36467  # no other test counts this job's runs
STEPS = ["dbt run --select stg_orders stg_stores"]


@pytest.fixture(scope="module")
def runs(local_dbt_cloud: LocalDbtCloud) -> list[int]:
    """Run a good run with documentation, and a failing one without."""
    good = local_dbt_cloud.trigger(JOB, steps_override=STEPS)
    local_dbt_cloud.wait(good)
    with missing_table(local_dbt_cloud, "stores"):
        failed = local_dbt_cloud.trigger(
            JOB, steps_override=STEPS, generate_docs_override=False, cause="</script>"
        )
        local_dbt_cloud.wait(failed)
    return [good, failed]


@pytest.fixture
def history(dbt_cloud_connection: LocalDbtCloud, tmp_path: Path) -> Any:
    return ObjectStoragePath(f"file://{tmp_path}/history")


@pytest.fixture
def kept(history: Any, local_dbt_cloud: LocalDbtCloud) -> Any:
    """Return the folder of the local dbt Cloud's account."""
    return Account(local_dbt_cloud.host, local_dbt_cloud.account_id).folder_below(history)


def test_keep_runs_stores_results_and_failures(history: Any, kept: Any, runs: list[int]) -> None:
    good, failed = keep_runs(runs, history)

    assert (good.counts, failed.counts) == ({"success": 2}, {"success": 1, "error": 1})
    assert {good.names[key] for key in good.model_seconds} == {"stg_orders", "stg_stores"}
    found = {one.run["id"]: one for one in History(kept).results(JOB)}
    assert list(found) == runs[::-1]
    (node,) = found[runs[1]].failed
    assert "stores does not exist" in node.message
    assert found[runs[1]].run["trigger"]["cause"] == "</script>"


def test_keep_runs_stores_times_threads_and_parents(
    history: Any, kept: Any, local_dbt_cloud: LocalDbtCloud
) -> None:
    command = "dbt build --select +stores --indirect-selection cautious"
    run_id = local_dbt_cloud.trigger(JOB, steps_override=[command])
    local_dbt_cloud.wait(run_id)
    (results,) = keep_runs([run_id], history)

    found = History(kept).timeline(JOB, run_id)

    assert found
    timeline = found[1]
    assert timeline
    names = [one.node.name for one in timeline.nodes]
    marts, staged = (timeline.nodes[names.index(name)] for name in ("stores", "stg_stores"))
    assert marts.parents == tuple(sorted(names.index(one) for one in ("orders", "stg_stores")))
    assert staged.parents == ()
    assert all(one.thread and one.end and one.end > (one.start or 0) for one in timeline.nodes)
    assert f"Invoke dbt with `{command}`" in [step.name for step in timeline.steps]
    assert all(step.started_at and step.finished_at for step in timeline.steps)
    path = CriticalPath.of(timeline)
    assert (path.unknown, path.left_out, path.contradictions) == (0, 0, 0)
    chain = [timeline.nodes[link.place].node for link in path.links]
    assert {node.kind for node in chain} >= {"model", "test"}  # a build waits for tests
    assert path.wall_seconds
    assert path.seconds <= path.wall_seconds
    assert len(results.nodes) == len(timeline.nodes)


def test_runs_not_kept_lists_finished_runs_missing_from_the_history(
    history: Any, runs: list[int]
) -> None:
    keep_runs(runs[:1], history)

    left = runs_not_kept(history)

    assert runs[1] in left
    assert runs[0] not in left
    assert left == sorted(left)


def test_keep_runs_reports_a_missing_run_and_keeps_the_others(
    history: Any, runs: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    (results,) = keep_runs([10**9, runs[0]], history)

    assert results.run["id"] == runs[0]
    assert "Could not store run 1000000000: dbt Cloud returned 404" in caplog.text
    with pytest.raises(AirflowFailException, match=r"Could not store run 1000000000: .* 404"):
        keep_runs([10**9], history)


def test_keep_runs_rejects_a_run_older_than_all_kept_runs(
    history: Any, kept: Any, runs: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    job = kept / str(JOB)
    job.mkdir(parents=True)
    for newer in range(RUNS_PER_JOB):
        (job / f"{10**9 + newer}.json").write_text("{")

    reason = f"Could not store run {runs[0]}: all {RUNS_PER_JOB} stored runs"
    with pytest.raises(AirflowFailException, match=reason):
        keep_runs(runs[:1], history)

    assert "Stored " not in caplog.text
    assert not (job / f"{runs[0]}.json").exists()
    assert not (kept / "docs").exists()


def test_runs_not_kept_includes_runs_changed_since_they_were_kept(
    history: Any, kept: Any, runs: list[int]
) -> None:
    keep_runs(runs, history)
    assert not {*runs} & {*runs_not_kept(history)}

    changes: list[dict[str, Any]] = [{"status": 20}, {"artifacts_saved": False}]
    for run_id, change in zip(runs, changes, strict=True):
        file = kept / str(JOB) / f"{run_id}.json"
        content = json.loads(file.read_text())
        write(file, json.dumps({**content, "run": {**content["run"], **change}}))

    assert {*runs} <= {*runs_not_kept(history)}


def test_runs_not_kept_includes_a_run_with_a_damaged_file(
    history: Any, kept: Any, runs: list[int]
) -> None:
    keep_runs(runs, history)
    (kept / str(JOB) / f"{runs[0]}.json").write_text("{")

    assert runs[0] in runs_not_kept(history)


def test_keep_runs_raises_for_an_invalid_token(
    history: Any, local_dbt_cloud: LocalDbtCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = json.dumps(json.loads(local_dbt_cloud.connection) | {"password": "wrong"})
    monkeypatch.setenv("AIRFLOW_CONN_DBT_CLOUD_DEFAULT", connection)

    with pytest.raises(DbtCloudRefusedError, match=r"401: Invalid token\."):
        keep_runs([1], history)


def test_keep_runs_rejects_a_run_that_is_still_running(
    history: Any,
    kept: Any,
    local_dbt_cloud: LocalDbtCloud,
    make_task: MakeTask,
    held_warehouse: None,
) -> None:
    run_id = local_dbt_cloud.trigger(JOB, steps_override=STEPS)

    with pytest.raises(AirflowFailException, match=f"Run {run_id} is still running"):
        keep_runs([run_id], history)

    assert History(kept).jobs() == []
    assert local_dbt_cloud.request("POST", f"runs/{run_id}/cancel/").is_success


def test_keep_runs_keeps_only_the_newest_docs_file(
    history: Any, kept: Any, runs: list[int]
) -> None:
    old = kept / "docs" / str(PROJECT) / "0.html"
    old.parent.mkdir(parents=True)
    old.write_text("of an older run")

    keep_runs(runs, history)

    page = newest_docs(kept, PROJECT)
    assert (page.name, old.exists()) == (f"{runs[0]}.html", False)
    assert documented_projects(kept) == [PROJECT]
    text = page.read_text()
    assert "INLINE DATA" not in text
    assert json.dumps("model.jaffle_shop.stg_orders") in text


def test_keep_runs_replaces_incomplete_docs_of_the_same_run(
    history: Any, kept: Any, runs: list[int]
) -> None:
    page = kept / "docs" / str(PROJECT) / f"{runs[0]}.html"
    page.parent.mkdir(parents=True)
    page.write_text("not all of it")

    keep_runs(runs[:1], history)

    assert "model.jaffle_shop.stg_orders" in page.read_text()


def test_keep_runs_preserves_docs_of_a_later_run(history: Any, kept: Any, runs: list[int]) -> None:
    later = kept / "docs" / str(PROJECT) / f"{10**9}.html"
    later.parent.mkdir(parents=True)
    later.write_text("of a later run")

    keep_runs(runs, history)

    assert newest_docs(kept, PROJECT).read_text() == "of a later run"


def test_keep_runs_separates_accounts_and_hosts(
    history: Any,
    kept: Any,
    runs: list[int],
    make_local_dbt_cloud: MakeLocalDbtCloud,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two local dbt Clouds have jobs and projects with the same ids."""
    keep_runs(runs[:1], history)
    before = (kept / str(JOB) / f"{runs[0]}.json").read_text()
    other = make_local_dbt_cloud()
    run_id = other.trigger(JOB, steps_override=STEPS)
    other.wait(run_id)
    monkeypatch.setenv("AIRFLOW_CONN_DBT_CLOUD_DEFAULT", other.connection)

    assert runs_not_kept(history) == [run_id]
    keep_runs([run_id], history)

    others = Account(other.host, other.account_id).folder_below(history)
    assert History(others).runs(JOB) == [run_id]
    assert newest_docs(others, PROJECT).name == f"{run_id}.html"
    assert History(kept).runs(JOB) == runs[:1]
    assert newest_docs(kept, PROJECT).name == f"{runs[0]}.html"
    assert (kept / str(JOB) / f"{runs[0]}.json").read_text() == before

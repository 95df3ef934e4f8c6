"""Real runs of the local dbt Cloud are kept, with what dbt says about their project."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import ObjectStoragePath

from include.dbt_cloud.airflow_compat import AirflowFailException
from include.dbt_cloud.reports import keep_runs, runs_not_kept
from include.dbt_cloud.reports.dbt_docs import documented_projects, newest_docs
from include.dbt_cloud.reports.history import History
from include.dbt_cloud.responses import DbtCloudRefusedError
from tests.running_dbt_cloud import RunningDbtCloud
from tests.unit.dbt_cloud.conftest import MakeTask, missing_table

JOB, PROJECT = 48618, 36467  # no other test counts the job's runs
STEPS = ["dbt run --select stg_orders stg_stores"]


@pytest.fixture(scope="module")
def runs(local_dbt_cloud: RunningDbtCloud) -> list[int]:
    """A good run with documentation, and one that fails without."""
    good = local_dbt_cloud.trigger(JOB, steps_override=STEPS)
    local_dbt_cloud.wait(good)
    with missing_table(local_dbt_cloud, "stores"):
        failed = local_dbt_cloud.trigger(
            JOB, steps_override=STEPS, generate_docs_override=False, cause="</script>"
        )
        local_dbt_cloud.wait(failed)
    return [good, failed]


@pytest.fixture
def history(dbt_cloud_connection: RunningDbtCloud, tmp_path: Path) -> Any:
    return ObjectStoragePath(f"file://{tmp_path}/history")


def test_runs_are_kept_with_what_failed_in_them(history: Any, runs: list[int]) -> None:
    good, failed = keep_runs(runs, history)

    assert (good.counts, failed.counts) == ({"success": 2}, {"success": 1, "error": 1})
    assert set(good.model_seconds) == {"stg_orders", "stg_stores"}
    kept = {one.run["id"]: one for one in History(history).results(JOB)}
    assert list(kept) == runs[::-1]
    (node,) = kept[runs[1]].failed
    assert "stores does not exist" in node.message
    assert kept[runs[1]].run["trigger"]["cause"] == "</script>"


def test_without_names_it_is_the_newest_finished_runs_that_are_not_kept(
    history: Any, runs: list[int]
) -> None:
    keep_runs(runs[:1], history)

    left = runs_not_kept(history)

    assert runs[1] in left
    assert runs[0] not in left
    assert left == sorted(left)


def test_a_run_that_is_gone_is_told_and_the_others_are_kept(
    history: Any, runs: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    (kept,) = keep_runs([10**9, runs[0]], history)

    assert kept.run["id"] == runs[0]
    assert "Run 1000000000 is not kept: dbt Cloud answered 404" in caplog.text
    with pytest.raises(AirflowFailException, match="dbt Cloud knows none of these runs"):
        keep_runs([10**9], history)


def test_a_token_that_is_refused_is_told_as_that(
    history: Any, local_dbt_cloud: RunningDbtCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = json.dumps(json.loads(local_dbt_cloud.connection) | {"password": "wrong"})
    monkeypatch.setenv("AIRFLOW_CONN_DBT_CLOUD_DEFAULT", connection)

    with pytest.raises(DbtCloudRefusedError, match=r"401: Invalid token\."):
        keep_runs([1], history)


def test_a_run_that_goes_on_is_not_kept(
    history: Any, local_dbt_cloud: RunningDbtCloud, make_task: MakeTask, held_warehouse: None
) -> None:
    run_id = local_dbt_cloud.trigger(JOB, steps_override=STEPS)

    with pytest.raises(AirflowFailException, match=f"Run {run_id} goes on"):
        keep_runs([run_id], history)

    assert History(history).jobs() == []
    assert local_dbt_cloud.request("POST", f"runs/{run_id}/cancel/").ok


def test_dbt_s_documentation_is_one_file_of_the_newest_run_that_has_it(
    history: Any, runs: list[int]
) -> None:
    old = history / "docs" / str(PROJECT) / "0.html"
    old.parent.mkdir(parents=True)
    old.write_text("of an older run")

    keep_runs(runs, history)

    page = newest_docs(history, PROJECT)
    assert (page.name, old.exists()) == (f"{runs[0]}.html", False)
    assert documented_projects(history) == [PROJECT]
    text = page.read_text()
    assert "INLINE DATA" not in text
    assert json.dumps("model.jaffle_shop.stg_orders") in text


def test_the_documentation_of_a_later_run_stays(history: Any, runs: list[int]) -> None:
    later = history / "docs" / str(PROJECT) / f"{10**9}.html"
    later.parent.mkdir(parents=True)
    later.write_text("of a later run")

    keep_runs(runs, history)

    assert newest_docs(history, PROJECT).read_text() == "of a later run"

"""Tests of reports on real runs of the local dbt Cloud."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import ObjectStoragePath
from matplotlib.image import imread

from include.dbt_cloud.api.accounts import Account
from include.dbt_cloud.api.artifacts import Node
from include.dbt_cloud.api.responses import DbtCloudRefusedError
from include.dbt_cloud.reports.chart import as_chart, title
from include.dbt_cloud.reports.report import as_table, report_run
from include.dbt_cloud.reports.results import Results
from include.dbt_cloud.reports.run_times import RunTime
from include.local_dbt_cloud.pytest_plugin import MakeLocalDbtCloud
from include.local_dbt_cloud.testing import LocalDbtCloud
from tests.unit.dbt_cloud.conftest import missing_table

JOB = 48617  # no other test counts its runs
SELECT = "--select stg_orders stg_stores"
RUN, BUILD = f"dbt run {SELECT}", f"dbt build {SELECT}"


@pytest.fixture(scope="module")
def runs(local_dbt_cloud: LocalDbtCloud) -> list[int]:
    """Run a good run, one that fails in its second command, and a good one of two commands."""

    def run(*steps: str) -> int:
        run_id = local_dbt_cloud.trigger(JOB, steps_override=list(steps))
        local_dbt_cloud.wait(run_id)
        return run_id

    good = run(RUN)
    with missing_table(local_dbt_cloud, "stores"):
        failed = run("dbt run --select stg_products", RUN)
    return [good, failed, run(RUN, BUILD, "dbt docs generate")]


@pytest.fixture
def reports(dbt_cloud_connection: LocalDbtCloud, tmp_path: Path) -> Any:
    return ObjectStoragePath(f"file://{tmp_path}/reports")


@pytest.fixture
def report(reports: Any, runs: list[int]) -> dict[str, Any]:
    return report_run(runs[-1], reports)


def folder_of(reports: Any, server: LocalDbtCloud, run_id: int) -> Path:
    account = Account(server.host, server.account_id)
    return Path((account.folder_below(reports) / f"run-{run_id}").path)


def test_report_counts_every_node_once(report: dict[str, Any]) -> None:
    assert report["status"] == "Success"
    assert report["counts"]["success"] == 2  # models, run and built; docs count nothing
    assert report["counts"]["pass"] >= 1
    assert report["failed"] == []
    assert set(report["models"]) == {"stg_orders", "stg_stores"}


def test_report_compares_models_with_earlier_successful_runs_only(
    report: dict[str, Any],
) -> None:
    stores = report["models"]["stg_stores"]

    assert stores["runs"] == 1
    assert stores["seconds"] > 0 < stores["median"]
    assert stores["is_slower"] is False


def test_report_stores_artifacts_and_logs_of_every_step(
    report: dict[str, Any], reports: Any, local_dbt_cloud: LocalDbtCloud
) -> None:
    folder = folder_of(reports, local_dbt_cloud, report["run_id"])
    steps = {path.name: {file.name for file in path.iterdir()} for path in folder.glob("step-*")}

    assert set(steps) == {f"step-{index}" for index in range(1, 7)}
    assert all("log.txt" in files for files in steps.values())
    assert {"run_results.json", "manifest.json", "debug_log.txt"} <= steps["step-5"]
    assert "catalog.json" in steps["step-6"]
    built = json.loads((folder / "step-5" / "run_results.json").read_text())
    assert built["args"]["which"] == "build"
    assert "stg_orders" in (folder / "step-4" / "log.txt").read_text()


def test_report_of_a_failed_run_shows_its_failures_and_a_chart(
    reports: Any, runs: list[int], local_dbt_cloud: LocalDbtCloud
) -> None:
    data = report_run(runs[1], reports)

    folder = folder_of(reports, local_dbt_cloud, runs[1])
    page = (folder / "report.html").read_text()
    (failed,) = data["failed"]
    assert failed["node"] == "model.jaffle_shop.stg_stores"
    assert "stores does not exist" in failed["message"]
    assert data["counts"] == {"success": 2, "error": 1}
    assert "model stg_stores" in page
    assert "stores does not exist" in page
    assert imread(folder / "run_times.png").shape[1] == 1200  # pixels


def test_report_run_raises_for_an_unknown_run(reports: Any) -> None:
    with pytest.raises(DbtCloudRefusedError, match="404"):
        report_run(999_999, reports)


def test_reports_of_two_accounts_are_in_separate_folders(
    reports: Any,
    runs: list[int],
    local_dbt_cloud: LocalDbtCloud,
    make_local_dbt_cloud: MakeLocalDbtCloud,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    report_run(runs[0], reports)
    other = make_local_dbt_cloud()
    run_id = other.trigger(JOB, steps_override=["dbt deps"])
    other.wait(run_id)
    monkeypatch.setenv("AIRFLOW_CONN_DBT_CLOUD_DEFAULT", other.connection)

    report_run(run_id, reports)

    places = [folder_of(reports, local_dbt_cloud, runs[0]), folder_of(reports, other, run_id)]
    assert [(place / "report.html").is_file() for place in places] == [True, True]
    assert places[0].parent != places[1].parent


def test_report_table_lists_warnings_and_slower_models() -> None:
    run = {"id": 7, "status_humanized": "Success", "href": "https://cloud.getdbt.com/7"}
    nodes = [
        Node("model.shop.orders", "success", 13.0, "", 4),
        Node("test.shop.unique_orders_id.f00", "warn", 0.1, "Got 3 results", 4),
    ]
    text = as_table(Results(run, nodes), [RunTime("orders", 13.0, [10.0] * 12)])

    assert "1 success, 1 warn" in text
    assert "test unique_orders_id: Got 3 results" in text
    assert "13.00    10.00     0.00    12" in text
    assert "Slower than usual: orders" in text


def test_chart_size_is_limited_for_many_models(tmp_path: Path) -> None:
    picture = tmp_path / "run_times.png"
    picture.write_bytes(as_chart([RunTime(f"model_{i}", 1.0, [1.0, 2.0]) for i in range(40)]))

    assert imread(picture).shape[:2] == (960, 1200)


def test_chart_renders_names_with_special_characters() -> None:
    names = ["a$b", "$", "$$", "$x_{1}$", r"$\frac{1}{$", "a^b_c", "{", r"\alpha", "", "a\nb", "é"]

    assert as_chart([RunTime(name, 1.0, [1.0, 2.0]) for name in names]).startswith(b"\x89PNG")


def test_chart_shortens_long_names_to_their_end(tmp_path: Path) -> None:
    picture = tmp_path / "run_times.png"
    times = [RunTime("x" * 500, 1.0, [1.0]), RunTime("orders", 1.0, [1.0])]

    picture.write_bytes(as_chart(times))

    assert imread(picture).shape[:2] == (240, 1200)
    assert title("x" * 500 + ".orders") == f"…{'x' * 38}.orders"
    assert title("orders\nof today") == "orders of today"


def test_chart_renders_extreme_times() -> None:
    assert as_chart([RunTime("a", 0.0, [0.0]), RunTime("b", 1e12, []), RunTime("c", -1.0, [-2.0])])

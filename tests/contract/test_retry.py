"""Retries of exactly one failed run, single steps, and artifacts of a job's newest run."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from include.local_dbt_cloud.pytest_plugin import MakeLocalDbtCloud
from include.local_dbt_cloud.testing import LocalDbtCloud
from tests.bundled import BUILD_AFTER_LOAD, DAILY_BUILD
from tests.contract.slow_project import SLOW, write_slow_project
from tests.contract.test_queue import children, is_dead
from tests.waiting import eventually

pytestmark = pytest.mark.slow

BUILD, RUN_ONE = "Invoke dbt with `dbt build`", "Invoke dbt with `dbt run --select one`"


@pytest.fixture(scope="module")
def dbt_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project with a slow macro and two models; tests break the second one."""
    project = tmp_path_factory.mktemp("dbt_project")
    write_slow_project(project)
    return project


@pytest.fixture(scope="module")
def server(
    local_dbt_cloud_factory: MakeLocalDbtCloud, dbt_project: Path
) -> Iterator[LocalDbtCloud]:
    with local_dbt_cloud_factory("--dbt-project", dbt_project) as server:
        yield server


def fail_at_two(server: LocalDbtCloud, project: Path) -> dict[str, Any]:
    """Return a run that failed at the model `two` in its first command; the model is repaired."""
    broken = project / "models" / "two.sql"
    broken.write_text("select * from no_such_table\n")
    run_id = server.trigger(
        DAILY_BUILD, steps_override=["dbt build", "dbt run --select one"], threads_override=2
    )
    failed = server.wait(run_id)
    broken.write_text("select 2 as id\n")
    assert failed["is_error"]
    return failed


def retry(server: LocalDbtCloud, run_id: int, method: str = "POST") -> Any:
    return server.request(method, f"runs/{run_id}/retry/")


def test_a_retry_resumes_the_failed_step_and_runs_the_skipped_ones(
    server: LocalDbtCloud, dbt_project: Path
) -> None:
    failed = fail_at_two(server, dbt_project)
    assert failed["can_retry"] is True
    assert failed["retry_not_supported_reason"] is None
    planned = retry(server, failed["id"], "GET").json()["data"]
    assert planned == {"failed_step": BUILD, "skipped_steps": [RUN_ONE]}

    response = retry(server, failed["id"]).json()["data"]

    assert response["retrying_run_id"] == failed["id"]
    assert response["trigger"]["cause"] == "test"
    assert response["trigger"]["cause_category"] == "rerun"
    assert response["trigger"]["threads_override"] == 2
    resumed = server.wait(response["id"])
    assert resumed["is_success"]
    *_, build, run_one = resumed["run_steps"]
    assert [build["name"], run_one["name"]] == [BUILD, RUN_ONE]
    assert "analytics.two" in build["logs"]
    assert "analytics.one" not in build["logs"]


@pytest.mark.parametrize(
    ("steps", "reason"),
    [
        (["dbt deps"], "RETRY_NOT_FAILED_RUN"),
        (["dbt run --select one", "dbt run-operation no_such_macro"], "RETRY_NO_RUN_RESULTS"),
        (["dbt build --selector no_such_selector"], "RETRY_NO_RUN_RESULTS"),
        (["dbt ls --selector no_such_selector"], "RETRY_UNSUPPORTED_CMD"),
    ],
    ids=str,
)
def test_run_that_cannot_be_retried_reports_the_reason(
    server: LocalDbtCloud, steps: list[str], reason: str
) -> None:
    run = server.wait(server.trigger(DAILY_BUILD, steps_override=steps))

    refused = retry(server, run["id"])

    assert (run["can_retry"], run["retry_not_supported_reason"]) == (False, reason)
    assert refused.status_code == 400
    assert reason in refused.json()["status"]["user_message"]
    assert retry(server, run["id"], "GET").status_code == 404


def test_only_the_newest_run_of_a_job_is_retried(server: LocalDbtCloud, dbt_project: Path) -> None:
    failed = fail_at_two(server, dbt_project)
    server.wait(server.trigger(DAILY_BUILD, steps_override=["dbt deps"]))

    run = server.get(f"runs/{failed['id']}/")

    assert run["retry_not_supported_reason"] == "RETRY_NOT_LATEST_RUN"
    assert retry(server, failed["id"]).status_code == 400


def test_a_retry_that_fails_can_be_retried(server: LocalDbtCloud, dbt_project: Path) -> None:
    failed = fail_at_two(server, dbt_project)
    broken = dbt_project / "models" / "two.sql"
    broken.write_text("select * from no_such_table\n")
    again = server.wait(retry(server, failed["id"]).json()["data"]["id"])
    assert again["can_retry"] is True
    broken.write_text("select 2 as id\n")

    rerun = server.request("POST", f"jobs/{DAILY_BUILD}/rerun/").json()["data"]
    resumed = server.wait(rerun["id"])

    assert resumed["retrying_run_id"] == again["id"]
    assert resumed["is_success"]
    assert resumed["run_steps"][-1]["name"] == RUN_ONE
    assert "analytics.one" not in resumed["run_steps"][-2]["logs"]

    fresh = server.request("POST", f"jobs/{DAILY_BUILD}/rerun/").json()["data"]
    assert fresh["retrying_run_id"] is None
    assert server.wait(fresh["id"])["is_success"]


def test_rerun_of_an_interrupted_run_starts_from_the_beginning(server: LocalDbtCloud) -> None:
    """The server's end also ends dbt; queued runs start after the next start."""
    run_id = server.trigger(DAILY_BUILD, steps_override=["dbt run --select one", SLOW])
    while len(server.wait(run_id, until={1, 2, 3})["run_steps"]) < 5:
        time.sleep(0.05)
    queued = server.trigger(BUILD_AFTER_LOAD, steps_override=["dbt deps"])
    family = children(server)
    server.end()
    eventually(lambda: all(map(is_dead, family)), "all processes have ended")
    server.start()
    cut_off = server.wait(run_id)
    assert cut_off["is_error"]
    assert "was stopped while this run was active" in cut_off["status_message"]
    assert server.wait(queued)["is_success"]
    assert cut_off["retry_not_supported_reason"] == "RETRY_NO_RUN_RESULTS"
    assert retry(server, run_id, "GET").status_code == 404

    rerun = server.request("POST", f"jobs/{DAILY_BUILD}/rerun/").json()["data"]

    assert rerun["retrying_run_id"] is None
    assert server.wait(rerun["id"])["is_success"]


def test_retry_of_an_unknown_run_is_404(local_dbt_cloud: LocalDbtCloud) -> None:
    for method in ("GET", "POST"):
        assert retry(local_dbt_cloud, 999_999, method).status_code == 404


def test_a_step_is_read_by_its_id(local_dbt_cloud: LocalDbtCloud) -> None:
    run_id = local_dbt_cloud.trigger(DAILY_BUILD, steps_override=["dbt deps"])
    step = local_dbt_cloud.wait(run_id)["run_steps"][-1]

    assert local_dbt_cloud.get(f"steps/{step['id']}/") == step
    assert step["debug_logs"] is None
    detailed = local_dbt_cloud.get(f"steps/{step['id']}/", include_related="debug_logs")
    assert "dbt" in detailed["debug_logs"]
    assert local_dbt_cloud.request("GET", "steps/999999/").status_code == 404


def test_job_artifact_comes_from_the_newest_matching_run(
    local_dbt_cloud: LocalDbtCloud,
) -> None:
    path = f"jobs/{BUILD_AFTER_LOAD}/artifacts/run_results.json"
    for model in ("stg_orders", "stg_stores"):
        steps = [f"dbt run --select {model}"]
        run = local_dbt_cloud.wait(local_dbt_cloud.trigger(BUILD_AFTER_LOAD, steps_override=steps))
        assert run["is_success"]

    newest = local_dbt_cloud.request("GET", path).json()["results"]
    older = local_dbt_cloud.request("GET", path, params={"pk__in": f"[{run['id'] - 1}]"})

    assert [result["unique_id"] for result in newest] == ["model.jaffle_shop.stg_stores"]
    assert older.json()["results"][0]["unique_id"] == "model.jaffle_shop.stg_orders"
    assert local_dbt_cloud.request("GET", path, params={"status": 30}).status_code == 404
    unknown = f"jobs/{DAILY_BUILD}/artifacts/no_such_file.json"
    assert local_dbt_cloud.request("GET", unknown).status_code == 404

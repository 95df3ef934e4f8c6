"""What a run does: steps, artifacts, overrides, order, cancelling, time-outs, restarts."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.slow_project import SLOW, write_slow_project
from tests.running_dbt_cloud import (
    BUILD_AFTER_LOAD,
    DAILY_BUILD,
    RunningDbtCloud,
    prepare_data,
)


def test_a_build_has_the_steps_of_dbt_cloud(local_dbt_cloud: RunningDbtCloud) -> None:
    run = local_dbt_cloud.wait(local_dbt_cloud.trigger())
    assert run["is_success"], run["status_message"]
    assert [(step["index"], step["name"], step["status"]) for step in run["run_steps"]] == [
        (1, "Clone git repository", 10),
        (2, "Create profile from connection DuckDB", 10),
        (3, "Invoke dbt with `dbt deps`", 10),
        (4, "Invoke dbt with `dbt build`", 10),
    ]
    assert "Completed successfully" in run["run_steps"][3]["logs"]
    assert run["run_steps"][3]["debug_logs"] is None
    moments = [run[name] for name in ("created_at", "dequeued_at", "started_at", "finished_at")]
    assert moments == sorted(moments)


def test_each_step_keeps_its_artifacts(local_dbt_cloud: RunningDbtCloud) -> None:
    steps = ["dbt run --select stg_stores", "dbt test --select stg_stores"]
    run_id = local_dbt_cloud.trigger(steps_override=steps, generate_docs_override=True)
    run = local_dbt_cloud.wait(run_id)
    assert run["has_docs_generated"]
    whats = [
        local_dbt_cloud.request(
            "GET", f"runs/{run_id}/artifacts/run_results.json?step={step}"
        ).json()["args"]["which"]
        for step in (4, 5)
    ]
    assert whats == ["run", "test"]
    assert "catalog.json" in local_dbt_cloud.get(f"runs/{run_id}/artifacts/")
    assert (
        local_dbt_cloud.request("GET", f"runs/{run_id}/artifacts/catalog.json?step=4").status_code
        == 404
    )


@pytest.mark.parametrize(
    "name", ["../logs.txt", "..%2flogs.txt", "%2e%2e/logs.txt", "/etc/passwd", "%00", "a" * 300]
)
def test_no_artifact_is_outside_the_run(local_dbt_cloud: RunningDbtCloud, name: str) -> None:
    run_id = local_dbt_cloud.trigger(steps_override=["dbt parse"])
    local_dbt_cloud.wait(run_id)
    assert local_dbt_cloud.request("GET", f"runs/{run_id}/artifacts/{name}").status_code in (
        404,
        501,
    )


def test_a_run_without_artifacts_says_null(local_dbt_cloud: RunningDbtCloud) -> None:
    run_id = local_dbt_cloud.trigger(steps_override=["dbt deps"])
    local_dbt_cloud.wait(run_id)
    assert local_dbt_cloud.get(f"runs/{run_id}/artifacts/") is None


def test_a_failing_step_ends_the_run(local_dbt_cloud: RunningDbtCloud) -> None:
    steps = ["dbt run-operation no_such_macro", "dbt build"]
    run = local_dbt_cloud.wait(local_dbt_cloud.trigger(steps_override=steps))
    assert (run["status"], run["status_message"]) == (20, "dbt command failed")
    assert [step["status"] for step in run["run_steps"]] == [10, 10, 10, 20]
    assert "no_such_macro" in run["run_steps"][3]["logs"]


def test_overrides_reach_dbt(local_dbt_cloud: RunningDbtCloud) -> None:
    run_id = local_dbt_cloud.trigger(
        steps_override=["dbt compile --select stg_stores"],
        schema_override="elsewhere",
        threads_override=2,
        target_name_override="ci",
    )
    run = local_dbt_cloud.wait(run_id)
    assert "(override schema to 'elsewhere')" in run["run_steps"][1]["name"]
    results = local_dbt_cloud.request("GET", f"runs/{run_id}/artifacts/run_results.json").json()
    manifest = local_dbt_cloud.request("GET", f"runs/{run_id}/artifacts/manifest.json").json()
    assert manifest["nodes"]["model.jaffle_shop.stg_stores"]["schema"].startswith("elsewhere")
    assert results["args"]["which"] == "compile"
    assert "Concurrency: 2 threads (target='ci')" in run["run_steps"][3]["logs"]


def test_a_job_runs_one_run_at_a_time(slow_dbt_cloud: RunningDbtCloud) -> None:
    first = slow_dbt_cloud.trigger(steps_override=[SLOW])
    slow_dbt_cloud.wait(first, until={3})
    second = slow_dbt_cloud.trigger()
    waiting = slow_dbt_cloud.get(f"runs/{second}/")
    assert (waiting["status"], waiting["blocked_by"]) == (1, [first])
    slow_dbt_cloud.request("POST", f"runs/{second}/cancel/")
    cancelled = slow_dbt_cloud.get(f"runs/{second}/")
    assert (cancelled["status"], cancelled["status_message"]) == (30, "Cancelled by user.")
    assert cancelled["dequeued_at"] is cancelled["started_at"] is None
    slow_dbt_cloud.request("POST", f"runs/{first}/cancel/")


def test_a_running_run_is_cancelled_and_the_next_one_works(slow_dbt_cloud: RunningDbtCloud) -> None:
    run_id = slow_dbt_cloud.trigger(steps_override=[SLOW])
    slow_dbt_cloud.wait(run_id, until={3})
    answer = slow_dbt_cloud.request("POST", f"runs/{run_id}/cancel/").json()["data"]
    assert (answer["status"], answer["status_message"]) == (30, "Cancelled by user.")
    again = slow_dbt_cloud.request("POST", f"runs/{run_id}/cancel/").json()["data"]
    assert again["finished_at"] == answer["finished_at"]
    assert slow_dbt_cloud.wait(slow_dbt_cloud.trigger())["is_success"]


def test_a_run_that_takes_too_long_is_cancelled(slow_dbt_cloud: RunningDbtCloud) -> None:
    run_id = slow_dbt_cloud.trigger(steps_override=[SLOW], timeout_seconds_override=1)
    run = slow_dbt_cloud.wait(run_id)
    assert run["status"] == 30
    assert "exceeded the configured timeout of 1 seconds" in run["status_message"]


def test_a_killed_server_loses_no_run_and_leaves_none_active(
    slow_dbt_cloud: RunningDbtCloud,
) -> None:
    finished = slow_dbt_cloud.trigger(steps_override=["dbt parse"])
    slow_dbt_cloud.wait(finished)
    active = slow_dbt_cloud.trigger(steps_override=[SLOW])
    slow_dbt_cloud.wait(active, until={3})
    queued = slow_dbt_cloud.trigger(steps_override=["dbt parse"])
    slow_dbt_cloud.end(signal.SIGKILL)
    slow_dbt_cloud.start()
    assert slow_dbt_cloud.wait(finished)["is_success"]
    broken = slow_dbt_cloud.wait(active)
    assert broken["status"] == 20
    assert "was stopped while this run was active" in broken["status_message"]
    assert {step["status"] for step in broken["run_steps"]} <= {10, 20}
    assert slow_dbt_cloud.wait(queued)["is_success"]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_the_dbt_process_ends_with_the_server(
    slow_dbt_cloud: RunningDbtCloud, how: signal.Signals
) -> None:
    slow_dbt_cloud.wait(slow_dbt_cloud.trigger(steps_override=[SLOW]), until={3})
    assert slow_dbt_cloud.process
    children = child_processes(slow_dbt_cloud.process.pid)
    assert children
    slow_dbt_cloud.end(how)
    for pid in children:
        wait_until_gone(pid)
    assert not any(os.path.exists(f"/proc/{pid}") for pid in children)


def test_a_rerun_resumes_the_run_that_failed(
    slow_dbt_cloud: RunningDbtCloud, slow_project: str
) -> None:
    broken = Path(slow_project, "models", "two.sql")
    broken.write_text("select * from nowhere\n")
    failed = slow_dbt_cloud.wait(slow_dbt_cloud.trigger())
    assert (failed["status"], failed["can_retry"]) == (20, True)
    broken.write_text("select 2 as id\n")
    answer = slow_dbt_cloud.request("POST", f"jobs/{DAILY_BUILD}/rerun/").json()["data"]
    assert answer["retrying_run_id"] == failed["id"]
    resumed = slow_dbt_cloud.wait(answer["id"])
    assert resumed["is_success"], resumed["run_steps"][-1]["logs"]
    assert "OK created sql view model analytics.two" in resumed["run_steps"][-1]["logs"]
    assert "analytics.one" not in resumed["run_steps"][-1]["logs"]
    fresh = slow_dbt_cloud.request("POST", f"jobs/{DAILY_BUILD}/rerun/").json()["data"]
    assert fresh["retrying_run_id"] is None
    assert slow_dbt_cloud.wait(fresh["id"])["is_success"]


def test_lists_filter_order_and_embed(local_dbt_cloud: RunningDbtCloud) -> None:
    ids = [local_dbt_cloud.trigger(BUILD_AFTER_LOAD, steps_override=["dbt deps"]) for _ in "ab"]
    local_dbt_cloud.wait(ids[-1])
    newest = local_dbt_cloud.get(
        "runs", job_definition_id=BUILD_AFTER_LOAD, order_by="-id", limit=2
    )
    assert [run["id"] for run in newest] == ids[::-1]
    for encoding in ("[10, 20]", "10,20", '["10"]', ["10", "20"]):
        runs = local_dbt_cloud.get("runs/", status__in=encoding)
        assert {run["status"] for run in runs} <= {10, 20}
        assert runs
    for related in (
        "run_steps,job",
        ["run_steps", "job"],
        '["run_steps", "job"]',
        "['run_steps','job']",
    ):
        run = local_dbt_cloud.get(f"runs/{ids[0]}", include_related=related)
        assert run["job"]["id"] == BUILD_AFTER_LOAD
        assert run["run_steps"]
    assert local_dbt_cloud.get(f"runs/{ids[0]}", include_related="")["job"] is None


def test_a_page_says_what_it_is(local_dbt_cloud: RunningDbtCloud) -> None:
    ids = [local_dbt_cloud.trigger(steps_override=["dbt deps"]) for _ in "ab"]
    answer = local_dbt_cloud.request(
        "GET", f"runs/?limit=1000&offset=1&pk__in={ids}&job_definition_id={DAILY_BUILD}"
    ).json()
    assert answer["extra"] == {
        "filters": {
            "limit": 100,
            "offset": 1,
            "state": "all",
            "account_id": local_dbt_cloud.account_id,
            "job_definition_id": DAILY_BUILD,
            "pk__in": ids,
        },
        "order_by": "id",
        "pagination": {"count": 1, "total_count": 2},
    }


@pytest.fixture(scope="module")
def slow_server(
    session_folder: Path, tmp_path_factory: pytest.TempPathFactory, slow_project: str
) -> Iterator[RunningDbtCloud]:
    """A server whose dbt project has a macro that takes as long as it is told."""
    data = tmp_path_factory.mktemp("data")
    prepare_data(session_folder / "data", data)
    server = RunningDbtCloud(data, ("--dbt-project", slow_project))
    yield server
    server.end()


@pytest.fixture
def slow_dbt_cloud(slow_server: RunningDbtCloud) -> RunningDbtCloud:
    """The same for all tests, started where one before has ended it."""
    return slow_server if slow_server.process else slow_server.start()


@pytest.fixture(scope="module")
def slow_project(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_slow_project(tmp_path_factory.mktemp("project"))


def child_processes(pid: int) -> list[int]:
    threads = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for thread in threads for child in (thread / "children").read_text().split()]


def wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + 10
    while os.path.exists(f"/proc/{pid}") and time.monotonic() < deadline:
        time.sleep(0.05)

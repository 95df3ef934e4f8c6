"""The order of runs: pull requests, completion triggers, cancelling and time limits."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import psutil
import pytest

from include.local_dbt_cloud.pytest_plugin import MakeLocalDbtCloud
from include.local_dbt_cloud.testing import LocalDbtCloud
from tests.bundled import ACCOUNT_ID, BUILD_AFTER_LOAD, DAILY_BUILD, JOBS_FILE
from tests.contract.slow_project import SLOW, write_slow_project
from tests.waiting import eventually

pytestmark = pytest.mark.slow

QUICK = ["dbt deps"]


@pytest.fixture(scope="module")
def server(
    local_dbt_cloud_factory: MakeLocalDbtCloud, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalDbtCloud]:
    project = write_slow_project(tmp_path_factory.mktemp("project"))
    with local_dbt_cloud_factory("--dbt-project", project) as server:
        yield server


@pytest.fixture
def slow_run(server: LocalDbtCloud) -> Iterator[int]:
    """Yield a run that holds the warehouse for a minute."""
    run_id = server.trigger(DAILY_BUILD, steps_override=[SLOW])
    wait_for_command(server, run_id)
    yield run_id
    cancel(server, run_id)


def test_pull_request_runs_skip_the_queue_but_share_the_warehouse(
    server: LocalDbtCloud, slow_run: int
) -> None:
    queued = server.trigger(DAILY_BUILD)
    parse = server.trigger(DAILY_BUILD, steps_override=["dbt parse"], github_pull_request_id=7)
    build = server.trigger(DAILY_BUILD, github_pull_request_id=8)
    assert server.wait(parse)["is_success"]
    wait_for_command(server, build)

    states = {one: server.get(f"runs/{one}/") for one in (slow_run, queued, build)}

    assert [states[one]["status"] for one in (slow_run, queued, build)] == [3, 1, 3]
    assert states[build]["blocked_by"] == []
    assert states[queued]["blocked_by"] == [slow_run]
    assert cancel(server, slow_run)["status_message"] == "Cancelled by user."
    built = server.wait(build)
    assert built["is_success"]
    assert f"dbt_cloud_pr_{DAILY_BUILD}_8" in built["run_steps"][1]["logs"]
    assert server.wait(queued)["is_success"]


def test_runs_of_one_pull_request_run_one_at_a_time(server: LocalDbtCloud, slow_run: int) -> None:
    first = server.trigger(DAILY_BUILD, github_pull_request_id=9)
    wait_for_command(server, first)
    second = server.trigger(DAILY_BUILD, github_pull_request_id=9, steps_override=["dbt parse"])
    other = server.trigger(DAILY_BUILD, github_pull_request_id=10, steps_override=["dbt parse"])
    assert server.wait(other)["is_success"]

    waiting = server.get(f"runs/{second}/")

    assert (waiting["status"], waiting["blocked_by"]) == (1, [first])
    cancel(server, slow_run)
    assert server.wait(first)["is_success"]
    assert server.wait(second)["is_success"]


def test_run_slot_is_shared_by_all_jobs(server: LocalDbtCloud, slow_run: int) -> None:
    other = server.trigger(BUILD_AFTER_LOAD, steps_override=QUICK)
    waiting = server.get(f"runs/{other}/")
    assert (waiting["status"], waiting["blocked_by"]) == (1, [])
    cancel(server, slow_run)
    assert server.wait(other)["is_success"]


def test_two_run_slots_run_two_jobs_at_once(
    make_local_dbt_cloud: MakeLocalDbtCloud, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("two_slots")
    jobs_file = folder / "jobs.yaml"
    jobs_file.write_text(JOBS_FILE.read_text().replace("run_slots: 1", "run_slots: 2"))
    (folder / "project").mkdir()
    project = write_slow_project(folder / "project")
    server = make_local_dbt_cloud("--jobs", str(jobs_file), "--dbt-project", project)
    slow = server.trigger(DAILY_BUILD, steps_override=[SLOW])
    same_job = server.trigger(DAILY_BUILD, steps_override=QUICK)
    assert server.wait(server.trigger(BUILD_AFTER_LOAD, steps_override=QUICK))["is_success"]
    assert server.get(f"runs/{same_job}/")["blocked_by"] == [slow]
    cancel(server, slow)


def test_a_run_that_waits_for_the_warehouse_can_time_out_and_be_cancelled(
    server: LocalDbtCloud, slow_run: int
) -> None:
    late = server.trigger(DAILY_BUILD, github_pull_request_id=7, timeout_seconds_override=1)
    run = server.wait(late)
    assert (run["status"], run["run_steps"][-1]["status"]) == (30, 30)
    assert "exceeded the configured timeout of 1 seconds" in run["status_message"]
    waiting = server.trigger(DAILY_BUILD, github_pull_request_id=7)
    wait_for_command(server, waiting)
    assert cancel(server, waiting)["status"] == 30
    assert server.get(f"runs/{slow_run}/")["status"] == 3


def test_hanging_command_is_cancelled_at_its_timeout(server: LocalDbtCloud) -> None:
    run_id = server.trigger(DAILY_BUILD, steps_override=[SLOW], timeout_seconds_override=3)
    server.wait(run_id, until={3})
    suspended = children(server)
    for process in suspended:
        with suppress(psutil.NoSuchProcess):  # git has just ended
            process.suspend()
    run = server.wait(run_id)
    assert (run["status"], run["is_cancelled"]) == (30, True)
    assert run["status_message"].startswith("This run timed out after running for 3 seconds")
    for process in suspended:  # those of other slots still exist
        with suppress(psutil.NoSuchProcess):
            process.resume()


def test_cancel_ends_a_starting_run(server: LocalDbtCloud) -> None:
    server.wait(server.trigger(DAILY_BUILD, steps_override=QUICK))
    kill_dbt(server)  # so that the next run has to wait for dbt to be imported
    run_id = server.trigger(DAILY_BUILD)
    server.wait(run_id, until={2})
    run = cancel(server, run_id)
    assert (run["status"], run["started_at"]) == (30, None)
    assert run["dequeued_at"] < run["finished_at"]
    assert run["status_message"] == "Cancelled by user."


@pytest.mark.parametrize("seconds", [0.0, 0.05, 0.2, 0.8])
def test_cancel_ends_a_run_at_any_moment(server: LocalDbtCloud, seconds: float) -> None:
    run_id = server.trigger(DAILY_BUILD, generate_docs_override=True)
    time.sleep(seconds)
    run = cancel(server, run_id)
    assert run["status"] in {10, 30}  # the result depends on the machine's load
    assert {step["status"] for step in run["run_steps"]} <= {10, 30}
    assert cancel(server, run_id)["finished_at"] == run["finished_at"]


def test_orphaned_active_run_is_ended_with_an_error(server: LocalDbtCloud) -> None:
    """A full disk can prevent storing a run's end; its job must not wait for it forever."""
    run_id = server.trigger(DAILY_BUILD, steps_override=QUICK)
    server.wait(run_id)
    with sqlite3.connect(server.data / "dbt_cloud.db", timeout=30) as database:
        database.execute("update runs set status = 3, finished_at = null where id = ?", [run_id])
    assert server.wait(server.trigger(DAILY_BUILD, steps_override=QUICK))["is_success"]
    run = server.wait(run_id)
    assert run["is_error"]
    assert "could not store how this run ended" in run["status_message"]


@pytest.mark.parametrize(
    ("status", "overrides"),
    [
        (10, {"steps_override": QUICK}),
        (20, {"steps_override": ["dbt ls --selector no_such_selector"]}),
        (30, {"steps_override": [SLOW], "timeout_seconds_override": 1}),
    ],
)
def test_job_completion_trigger_starts_jobs_by_final_status(
    server: LocalDbtCloud, status: int, overrides: dict[str, Any]
) -> None:
    followers = {one: create_follower(server, [one]) for one in (10, 20, 30)}
    always = create_follower(server, [10, 20, 30])
    try:
        ended = server.wait(server.trigger(DAILY_BUILD, **overrides))
        assert ended["status"] == status
        runs = [run for job_id in (followers[status], always) for run in runs_of(server, job_id)]
        assert [run["trigger"]["cause_category"] for run in runs] == ["job completion"] * 2
        assert all(f"Run {ended['id']} of" in run["trigger"]["cause"] for run in runs)
        others = [job_id for one, job_id in followers.items() if one != status]
        assert not any(runs_of(server, job_id) for job_id in others)
        assert all(server.wait(run["id"])["is_success"] for run in runs)
    finally:
        for job_id in (*followers.values(), always):
            server.request("DELETE", f"jobs/{job_id}/")


def test_cancelling_a_queued_run_starts_the_following_job(
    server: LocalDbtCloud, slow_run: int
) -> None:
    follower = create_follower(server, [30], BUILD_AFTER_LOAD)
    queued = cancel(server, server.trigger(BUILD_AFTER_LOAD))
    assert (queued["status"], queued["status_message"]) == (30, "Cancelled by user.")
    assert queued["dequeued_at"] is queued["started_at"] is None
    [run] = runs_of(server, follower)
    server.request("DELETE", f"jobs/{follower}/")
    cancel(server, slow_run)
    assert server.wait(run["id"])["is_success"]


def test_job_completion_trigger_ignores_pull_requests_and_deleted_jobs(
    server: LocalDbtCloud,
) -> None:
    deleted, waiting = create_follower(server, [10]), create_follower(server, [10])
    server.request("DELETE", f"jobs/{deleted}/")
    server.wait(server.trigger(DAILY_BUILD, steps_override=QUICK, github_pull_request_id=7))
    assert not runs_of(server, waiting)
    server.wait(server.trigger(DAILY_BUILD, steps_override=QUICK))
    assert runs_of(server, waiting)
    assert not runs_of(server, deleted)
    server.request("DELETE", f"jobs/{waiting}/")


def create_follower(
    server: LocalDbtCloud, statuses: list[int], after_job: int = DAILY_BUILD
) -> int:
    condition = {"job_id": after_job, "project_id": 36467, "statuses": statuses}
    job = {
        "account_id": ACCOUNT_ID,
        "project_id": 36467,
        "environment_id": 29118,
        "name": f"After {statuses}",
        "execute_steps": QUICK,
        "job_completion_trigger_condition": {"condition": condition},
    }
    job_id: int = server.request("POST", "jobs/", json=job).json()["data"]["id"]
    return job_id


def runs_of(server: LocalDbtCloud, job_id: int) -> list[dict[str, Any]]:
    runs: list[dict[str, Any]] = server.get(
        "runs/", job_definition_id=job_id, include_related="trigger"
    )
    return runs


def cancel(server: LocalDbtCloud, run_id: int) -> dict[str, Any]:
    response = server.request("POST", f"runs/{run_id}/cancel/")
    assert response.is_success, response.text
    run: dict[str, Any] = server.get(f"runs/{run_id}/", include_related="run_steps")
    return run


def wait_for_command(server: LocalDbtCloud, run_id: int) -> None:
    """Wait until the run executes the first command of its job."""
    eventually(
        lambda: len(server.get(f"runs/{run_id}/", include_related="run_steps")["run_steps"]) == 4,
        "the run has its fourth step",
    )


def kill_dbt(server: LocalDbtCloud) -> None:
    killed = children(server)
    for process in killed:
        process.kill()
    eventually(lambda: all(map(is_dead, killed)), "all processes have ended")


def is_dead(process: psutil.Process) -> bool:
    """Return whether it has ended; its first thread may be a zombie while others still run."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE and process.num_threads() == 1
    except psutil.NoSuchProcess:
        return True


def children(server: LocalDbtCloud) -> list[psutil.Process]:
    """Return dbt's processes and their children."""
    assert server.process
    return psutil.Process(server.process.pid).children(recursive=True)

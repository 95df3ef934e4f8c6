"""Tests of a task's wait, and of failed runs that it finishes, with the local dbt Cloud."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudJobRunException
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from include.dbt_cloud.api.responses import LONGEST_WAIT, NoAnswerError
from include.dbt_cloud.run.idempotency_key import IdempotencyKey
from include.dbt_cloud.run.operator import wait_in_worker
from include.local_dbt_cloud.pytest_plugin import MakeLocalDbtCloud
from tests.bundled import BUILD_AFTER_LOAD, DAILY_BUILD, DBT_PYTHON
from tests.unit.dbt_cloud.conftest import (
    BUILD,
    MakeTask,
    Task,
    go_wrong,
    missing_table,
    open_warehouse,
)
from tests.unit.dbt_cloud.made_jobs import MadeJobs

QUICK = "dbt deps"
TIME_LIMIT = 60.0  # seconds; for a busy machine
DOWNSTREAM = "dbt run --select +stores"


def failed_run(make_task: MakeTask, *steps: str, **overrides: Any) -> int:
    """Return a run that failed at ``stg_stores``, whose cause has been repaired."""
    server = make_task().server
    with missing_table(server, "stores"):
        run = server.wait(server.trigger(DAILY_BUILD, steps_override=list(steps), **overrides))
    assert run["is_error"]
    return int(run["id"])


@pytest.mark.parametrize("deferrable", [True, False])
def test_operator_logs_how_often_it_polls(
    make_task: MakeTask, capfd: pytest.CaptureFixture[str], deferrable: bool
) -> None:
    """Only the log shows that a short run waits for a long interval."""
    task = make_task(QUICK, check_interval=600, deferrable=deferrable, timeout=0)

    with pytest.raises(TaskDeferred if deferrable else DbtCloudJobRunException):
        task.try_()

    waits = f"Waiting for run {task.pushed['job_run_id']}: polling every 600 s."
    assert waits in "".join(capfd.readouterr())


def test_on_kill_cancels_a_run_whose_trigger_request_is_pending(
    make_task: MakeTask, held_warehouse: None
) -> None:
    task = make_task(BUILD)
    operator = task.operator(wait_for_termination=False)
    go_wrong(task.server, "slow", seconds=2, method="POST", path="*/jobs/*/run*")
    trying = threading.Thread(target=operator.execute, args=(task.context(operator),))

    trying.start()
    time.sleep(1)
    assert operator.run_id is None
    operator.on_kill()
    trying.join()

    assert [run["status_humanized"] for run in task.runs] == ["Cancelled"]


def test_execute_complete_ignores_an_event_of_another_run(make_task: MakeTask) -> None:
    task = make_task(QUICK)
    started = task.start()
    operator = task.operator()

    finished = operator.execute_complete(
        task.context(operator),
        {"run_id": started - 1, "outcome": "timeout", "message": "It took too long."},
    )

    assert finished == started
    assert task.runs[0]["status_humanized"] == "Success"


def test_operator_raises_no_answer_error_after_max_silence(
    make_task: MakeTask, held_warehouse: None
) -> None:
    task = make_task(BUILD)
    run_id = task.start()
    go_wrong(task.server, "503", times=1000, method="GET", path=f"*/runs/{run_id}")

    silence = rf"returned no status of run {run_id} for \d+ s: dbt Cloud returned 503\."
    # Not a failure of the run, so it is retried even if failed runs are not.
    with pytest.raises(NoAnswerError, match=silence):
        task.try_(max_silence=0.5)


def test_wait_in_worker_reports_a_404_only_after_max_silence(
    make_task: MakeTask,
) -> None:
    """A missing run is refused like an invalid token."""
    operator = make_task().operator(max_silence=0.2)

    event = wait_in_worker(operator.client, operator.trigger(10**9))

    assert event["outcome"] == "silent"
    assert "dbt Cloud returned 404" in event["message"]


@pytest.mark.parametrize(
    ("limits", "outcome"),
    [({"timeout": 2}, "waited"), ({"max_silence": 2.0}, "silent")],
    ids=["timeout", "max_silence"],
)
def test_wait_in_worker_keeps_its_limits_despite_a_long_retry_after(
    make_task: MakeTask, limits: dict[str, float], outcome: str
) -> None:
    operator = make_task().operator(check_interval=1000, **limits)
    go_wrong(make_task().server, "429", seconds=3600, times=1000, path="*/runs/*")
    began = time.monotonic()

    event = wait_in_worker(operator.client, operator.trigger(10**9))

    assert event["outcome"] == outcome
    assert time.monotonic() - began < LONGEST_WAIT


def test_wait_in_worker_keeps_its_limit_despite_a_long_interval(
    make_task: MakeTask, held_warehouse: None
) -> None:
    task = make_task(BUILD)
    operator = task.operator(check_interval=1000, timeout=2)
    began = time.monotonic()

    event = wait_in_worker(operator.client, operator.trigger(task.start()))

    assert event["outcome"] == "waited"
    assert time.monotonic() - began < TIME_LIMIT


def test_wait_in_worker_tolerates_one_failed_poll_after_a_long_interval(
    make_task: MakeTask, held_warehouse: None
) -> None:
    task = make_task(BUILD)
    run_id = task.start()
    operator = task.operator(check_interval=4, max_silence=3.0, timeout=10)
    path = {"method": "GET", "path": f"*/runs/{run_id}"}
    go_wrong(task.server, "slow", seconds=0, **path)  # the first poll succeeds
    go_wrong(task.server, "503", **path)

    event = wait_in_worker(operator.client, operator.trigger(run_id))

    assert event["outcome"] == "waited"


def test_failed_run_id_resumes_the_run_and_logs_its_failures(
    make_task: MakeTask, caplog: pytest.LogCaptureFixture
) -> None:
    failed = failed_run(make_task, DOWNSTREAM)
    task = make_task(failed_run_id=failed)

    with caplog.at_level(logging.INFO, "include.dbt_cloud"):
        finished = task.try_()

    resumed = task.server.get(f"runs/{finished}/")
    assert resumed["retrying_run_id"] == failed
    assert resumed["status_humanized"] == "Success"
    assert task.pushed == {"job_run_id": finished, "job_run_url": resumed["href"]}
    log = caplog.text
    assert f"Run {failed} failed: https://" in log
    assert f"Step 4, Invoke dbt with `{DOWNSTREAM}`:" in log
    assert "1 failed: model.jaffle_shop.stg_stores\n" in log
    assert "skipped: " in log
    assert "model.jaffle_shop.stores" in log.partition("skipped: ")[2].partition("\n")[0]
    assert f"dbt Cloud created run {finished}: {resumed['href']}" in log


def test_failed_run_id_finishes_an_unresumable_run_in_its_schema(
    make_task: MakeTask, caplog: pytest.LogCaptureFixture
) -> None:
    command = f"{BUILD} --vars '{{who: me}}'"
    failed = failed_run(make_task, command, QUICK, schema_override="other")
    make_task(QUICK).try_()  # so dbt Cloud cannot resume it
    task = make_task(failed_run_id=failed)

    with caplog.at_level(logging.INFO, "include.dbt_cloud"):
        task.try_()

    (finished,) = task.runs
    build, last = finished["trigger"]["steps_override"]
    assert build.startswith("dbt build --vars '{who: me}' --select ")
    assert "stg_stores" in build
    assert "stg_products" not in build
    assert last == QUICK
    assert finished["trigger"]["schema_override"] == "other"
    assert finished["trigger"]["cause"].startswith(f"Airflow finishes run {failed}: ")
    assert finished["status_humanized"] == "Success"
    assert "the job has run again since" in caplog.text


def test_failed_run_id_repeats_a_run_that_failed_before_any_step(
    make_local_dbt_cloud: MakeLocalDbtCloud, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    python, mended = tmp_path / "python", tmp_path / "mended"
    breaks = f'case "$*" in *worker.py) [ -e "{mended}" ] || exit 1;; esac'
    python.write_text(f'#!/bin/sh\n{breaks}\nexec "{DBT_PYTHON}" "$@"\n')
    python.chmod(0o755)
    server = make_local_dbt_cloud("--dbt-python", str(python))
    monkeypatch.setenv("AIRFLOW_CONN_DBT_CLOUD_DEFAULT", server.connection)
    failed = server.wait(server.trigger(DAILY_BUILD, steps_override=[QUICK]))
    assert (failed["is_error"], failed["run_steps"]) == (True, [])
    mended.touch()

    finished = Task(server, failed_run_id=failed["id"]).try_()

    run = server.get(f"runs/{finished}/", include_related="trigger")
    assert run["trigger"]["steps_override"] == [QUICK]
    assert run["status_humanized"] == "Success"


@pytest.mark.parametrize("kind", ["close-after", "truncate"])
def test_failed_run_id_finds_its_run_after_a_lost_response(make_task: MakeTask, kind: str) -> None:
    failed = failed_run(make_task, BUILD)
    task = make_task(failed_run_id=failed)
    go_wrong(task.server, kind, method="POST", path="*/retry*")

    finished = task.try_()

    assert [run["id"] for run in task.runs] == [finished]
    assert task.runs[0]["retrying_run_id"] == failed


@pytest.mark.parametrize("is_resumable", [True, False])
def test_failed_run_id_follows_the_existing_run_after_a_crash(
    make_task: MakeTask, is_resumable: bool
) -> None:
    failed = failed_run(make_task, BUILD)
    if not is_resumable:
        make_task(QUICK).try_()
    task = make_task(failed_run_id=failed)
    started = task.start()

    assert task.try_() == started
    assert len(task.runs) == 1


def test_failed_run_id_resumes_its_own_run_that_failed(make_task: MakeTask) -> None:
    failed = failed_run(make_task, BUILD)
    task = make_task(failed_run_id=failed)
    with missing_table(task.server, "stores"), pytest.raises(DbtCloudJobRunException):
        task.try_()

    task.try_()

    first, second = task.runs
    assert second["retrying_run_id"] == first["id"]
    assert second["status_humanized"] == "Success"


def test_clear_after_success_rebuilds_only_what_had_failed(make_task: MakeTask) -> None:
    task = make_task(failed_run_id=failed_run(make_task, BUILD))
    task.try_()

    task.clear()
    task.try_()

    assert len(task.runs) == 2
    assert "stg_stores" in task.runs[1]["trigger"]["steps_override"][0]
    assert "stg_products" not in task.runs[1]["trigger"]["steps_override"][0]


def test_clear_while_running_cancels_the_run_and_starts_another(make_task: MakeTask) -> None:
    failed = failed_run(make_task, BUILD)
    task = make_task(failed_run_id=failed)
    with open_warehouse(task.server):
        task.start()
        task.clear()
        task.start()

    cancelled, again = task.runs
    assert cancelled["status_humanized"] == "Cancelled"
    assert "stg_stores" in again["trigger"]["steps_override"][0]


def test_failed_run_id_follows_a_manual_retry(make_task: MakeTask) -> None:
    failed = failed_run(make_task, BUILD)
    task = make_task(failed_run_id=failed)
    with open_warehouse(task.server):
        theirs = task.server.request("POST", f"runs/{failed}/retry/").json()["data"]["id"]
        assert task.start() == theirs

    assert task.try_() == theirs
    assert len(task.runs) == 1


def test_operator_finds_a_job_that_was_created_again_under_its_name(jobs: MadeJobs) -> None:
    names: dict[str, Any] = {"project_name": "Jaffle shop", "environment_name": "Production"}
    task = Task(jobs.server, job_id=None, job_name="made again", **names)
    before = jobs.make("made again")
    task.try_()
    jobs.server.request("DELETE", f"jobs/{before}/")
    after = jobs.make("made again")

    run_id = Task(jobs.server, job_id=None, job_name="made again", **names).try_()

    assert jobs.server.get(f"runs/{run_id}/")["job_definition_id"] == after
    jobs.server.request("DELETE", f"jobs/{after}/")
    with pytest.raises(AirflowFailException, match="no job named 'made again'"):
        Task(jobs.server, job_id=None, job_name="made again", **names).try_()


@pytest.mark.parametrize(
    ("job", "message"),
    [
        ({"job_id": None, "job_name": "Daily build"}, "missing: project_name, environment_name"),
        ({"job_id": "{{ none }}"}, "job_id must be a number .got '{{ none }}'"),
        ({"job_id": ""}, "job_id must be a number .got ''"),
        ({"job_id": 1}, "404: job 1 does not exist"),
    ],
    ids=["names", "text", "empty", "unknown"],
)
def test_operator_rejects_a_job_that_it_cannot_determine(
    make_task: MakeTask, job: dict[str, Any], message: str
) -> None:
    with pytest.raises(AirflowFailException, match=message):
        make_task().try_(**job)


def test_failed_run_id_rejects_a_run_that_did_not_fail(make_task: MakeTask) -> None:
    succeeded = make_task(QUICK).try_()

    with pytest.raises(AirflowFailException, match=f"Run {succeeded} did not fail"):
        make_task(failed_run_id=succeeded).try_()


def test_failed_run_id_rejects_a_run_of_another_job(make_task: MakeTask) -> None:
    failed = failed_run(make_task, BUILD)

    with pytest.raises(AirflowFailException, match=f"does not belong to job {BUILD_AFTER_LOAD}"):
        make_task(failed_run_id=failed, job_id=BUILD_AFTER_LOAD).try_()


MAPPED = """
from airflow.sdk import dag

from include.dbt_cloud import DbtCloudRunJobExactlyOnceOperator
from include.dbt_cloud.freshness import WaitForFreshSourcesOperator
from include.dbt_cloud.pull_requests import DbtCloudCheckPullRequestOperator


@dag(schedule=None)
def mapped():
    commits = [{"github_pull_request_id": 7, "git_sha": digit * 40} for digit in "12"]
    DbtCloudRunJobExactlyOnceOperator.partial(
        task_id="run_job",
        retries=2,
        deferrable=False,
        check_interval=0.1,
        steps_override=["dbt deps"],
    ).expand(job_id=[65767, 65767])
    WaitForFreshSourcesOperator.partial(task_id="wait").expand(job_id=[1, 2])
    DbtCloudCheckPullRequestOperator.partial(task_id="check", job_id=1).expand(
        additional_run_config=commits
    )


mapped()
"""


def test_each_map_index_has_a_run_of_its_own(make_task: MakeTask, tmp_path: Path) -> None:
    (tmp_path / "mapped.py").write_text(MAPPED)
    bag = DagBag(tmp_path)
    assert not bag.import_errors
    mapped: Any = bag.dags["mapped"].get_task("run_job")
    tasks = [make_task(kind=lambda **_: mapped.unmap({"job_id": DAILY_BUILD})) for _ in "ab"]
    for index, task in enumerate(tasks):
        task.map_index, task.run_id = index, tasks[0].run_id

    keys = {IdempotencyKey.of(task.context(task.operator())) for task in tasks}
    first = [task.try_() for task in tasks]
    second = [task.try_() for task in tasks]

    assert len(keys) == len(set(first)) == 2
    assert second == first

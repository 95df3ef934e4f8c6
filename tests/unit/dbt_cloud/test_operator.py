"""What ends a task's waiting, and failed runs that it finishes, on the real local dbt Cloud."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudJobRunException
from airflow.sdk.exceptions import AirflowFailException

from include.dbt_cloud.operator import wait_in_worker
from include.dbt_cloud.responses import NoAnswerError
from include.local_dbt_cloud.settings import default_dbt_python
from tests.conftest import MakeDbtCloud
from tests.running_dbt_cloud import BUILD_AFTER_LOAD
from tests.unit.dbt_cloud.conftest import (
    BUILD,
    MakeTask,
    Task,
    go_wrong,
    missing_table,
    open_warehouse,
)

QUICK = "dbt deps"
DOWNSTREAM = "dbt run --select +stores"


def failed_run(make_task: MakeTask, *steps: str, **overrides: Any) -> int:
    """A run that somebody started and that failed at ``stg_stores``; the cause is mended."""
    server = make_task().server
    with missing_table(server, "stores"):
        run = server.wait(server.trigger(steps_override=list(steps), **overrides))
    assert run["is_error"]
    return int(run["id"])


def test_a_kill_while_dbt_cloud_starts_the_run_cancels_it(
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


def test_an_event_of_another_run_says_nothing_about_this_one(make_task: MakeTask) -> None:
    task = make_task(QUICK)
    started = task.start()
    operator = task.operator()

    finished = operator.execute_complete(
        task.context(operator),
        {"run_id": started - 1, "outcome": "timeout", "message": "It took too long."},
    )

    assert finished == started
    assert task.runs[0]["status_humanized"] == "Success"


def test_a_long_silence_is_reported_with_its_reason(
    make_task: MakeTask, held_warehouse: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("include.dbt_cloud.client.RETRY_SECONDS", 1)
    task = make_task(BUILD)
    run_id = task.start()
    go_wrong(task.server, "503", times=1000, method="GET", path=f"*/runs/{run_id}")

    silence = rf"said nothing about run {run_id} for \d+ s: dbt Cloud answered 503\."
    # No verdict on the run, which may be well: where verdicts are final, this is still tried again.
    with pytest.raises(NoAnswerError, match=silence):
        task.try_(max_silence=0.5)


def test_a_refusal_while_it_waits_in_the_worker_does_not_end_the_waiting(
    make_task: MakeTask,
) -> None:
    """A run that is not there is refused as a token is that dbt Cloud does not accept."""
    operator = make_task().operator(max_silence=0.2)

    event = wait_in_worker(operator.client, operator.trigger(10**9))

    assert event["outcome"] == "silent"
    assert "dbt Cloud answered 404" in event["message"]


def test_it_is_resumed_where_it_failed_and_the_log_says_what_and_where(
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
    said = caplog.text
    assert f"Run {failed} failed: https://" in said
    assert f"Step 4, Invoke dbt with `{DOWNSTREAM}`:" in said
    assert "1 failed: model.jaffle_shop.stg_stores\n" in said
    assert "skipped: " in said
    assert "model.jaffle_shop.stores" in said.partition("skipped: ")[2].partition("\n")[0]
    assert f"dbt Cloud has made run {finished}: {resumed['href']}" in said


def test_one_that_cannot_be_resumed_is_finished_in_the_same_place(
    make_task: MakeTask, caplog: pytest.LogCaptureFixture
) -> None:
    command = f"{BUILD} --vars '{{who: me}}'"
    failed = failed_run(make_task, command, QUICK, schema_override="elsewhere")
    make_task(QUICK).try_()  # from now on dbt Cloud does not resume it
    task = make_task(failed_run_id=failed)

    with caplog.at_level(logging.INFO, "include.dbt_cloud"):
        task.try_()

    (finished,) = task.runs
    build, last = finished["trigger"]["steps_override"]
    assert build.startswith("dbt build --vars '{who: me}' --select ")
    assert "stg_stores" in build
    assert "stg_products" not in build
    assert last == QUICK
    assert finished["trigger"]["schema_override"] == "elsewhere"
    assert finished["trigger"]["cause"].startswith(f"Airflow finishes run {failed}: ")
    assert finished["status_humanized"] == "Success"
    assert "the job has run again since" in caplog.text


def test_one_that_failed_before_its_first_step_runs_from_its_beginning(
    make_local_dbt_cloud: MakeDbtCloud, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    python, mended = tmp_path / "python", tmp_path / "mended"
    python.write_text(f'#!/bin/sh\n[ -e "{mended}" ] && exec "{default_dbt_python()}" "$@"\n')
    python.chmod(0o755)
    server = make_local_dbt_cloud("--dbt-python", str(python))
    monkeypatch.setenv("AIRFLOW_CONN_DBT_CLOUD_DEFAULT", server.connection)
    failed = server.wait(server.trigger(steps_override=[QUICK]))
    assert (failed["is_error"], failed["run_steps"]) == (True, [])
    mended.touch()

    finished = Task(server, failed_run_id=failed["id"]).try_()

    run = server.get(f"runs/{finished}/", include_related="trigger")
    assert run["trigger"]["steps_override"] == [QUICK]
    assert run["status_humanized"] == "Success"


@pytest.mark.parametrize("kind", ["close-after", "truncate"])
def test_a_try_whose_call_went_unanswered_finds_its_run(make_task: MakeTask, kind: str) -> None:
    failed = failed_run(make_task, BUILD)
    task = make_task(failed_run_id=failed)
    go_wrong(task.server, kind, method="POST", path="*/retry*")

    finished = task.try_()

    assert [run["id"] for run in task.runs] == [finished]
    assert task.runs[0]["retrying_run_id"] == failed


@pytest.mark.parametrize("is_resumable", [True, False])
def test_a_try_after_a_crash_goes_on_with_the_run_that_is_there(
    make_task: MakeTask, is_resumable: bool
) -> None:
    failed = failed_run(make_task, BUILD)
    if not is_resumable:
        make_task(QUICK).try_()
    task = make_task(failed_run_id=failed)
    started = task.start()

    assert task.try_() == started
    assert len(task.runs) == 1


def test_a_finishing_run_that_fails_is_finished_itself(make_task: MakeTask) -> None:
    failed = failed_run(make_task, BUILD)
    task = make_task(failed_run_id=failed)
    with missing_table(task.server, "stores"), pytest.raises(DbtCloudJobRunException):
        task.try_()

    task.try_()

    first, second = task.runs
    assert second["retrying_run_id"] == first["id"]
    assert second["status_humanized"] == "Success"


def test_a_clear_after_success_builds_again_what_had_failed(make_task: MakeTask) -> None:
    task = make_task(failed_run_id=failed_run(make_task, BUILD))
    task.try_()

    task.clear()
    task.try_()

    assert len(task.runs) == 2
    assert "stg_stores" in task.runs[1]["trigger"]["steps_override"][0]
    assert "stg_products" not in task.runs[1]["trigger"]["steps_override"][0]


def test_a_clear_while_it_runs_cancels_the_run(make_task: MakeTask) -> None:
    failed = failed_run(make_task, BUILD)
    task = make_task(failed_run_id=failed)
    with open_warehouse(task.server):
        task.start()
        task.clear()
        task.start()

    cancelled, again = task.runs
    assert cancelled["status_humanized"] == "Cancelled"
    assert "stg_stores" in again["trigger"]["steps_override"][0]


def test_somebody_else_who_resumes_it_is_not_disturbed(make_task: MakeTask) -> None:
    failed = failed_run(make_task, BUILD)
    task = make_task(failed_run_id=failed)
    with open_warehouse(task.server):
        theirs = task.server.request("POST", f"runs/{failed}/retry/").json()["data"]["id"]
        assert task.start() == theirs

    assert task.try_() == theirs
    assert len(task.runs) == 1


def test_a_run_that_did_not_fail_is_refused(make_task: MakeTask) -> None:
    succeeded = make_task(QUICK).try_()

    with pytest.raises(AirflowFailException, match=f"Run {succeeded} did not fail"):
        make_task(failed_run_id=succeeded).try_()


def test_a_run_of_another_job_is_refused(make_task: MakeTask) -> None:
    failed = failed_run(make_task, BUILD)

    with pytest.raises(AirflowFailException, match=f"not one of job {BUILD_AFTER_LOAD}"):
        make_task(failed_run_id=failed, job_id=BUILD_AFTER_LOAD).try_()

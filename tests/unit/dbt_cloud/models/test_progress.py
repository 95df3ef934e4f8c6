from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from include.dbt_cloud.api.live_log import Failure
from include.dbt_cloud.models.outcome import lines_about, outcome_of
from include.dbt_cloud.models.progress import (
    MESSAGE_POLLS,
    NO_MESSAGE,
    Progress,
    RunProgress,
    merge_failures,
    progress_of,
)

STG, ORDERS, TEST = "model.shop.stg_orders", "model.shop.orders", "test.shop.unique_orders.f00"
LABELS = {STG: "analytics.stg_orders", ORDERS: "analytics.orders", TEST: "unique_orders"}
OWN = {ORDERS: LABELS[ORDERS], TEST: LABELS[TEST]}
RUNNING, SUCCESS, ERROR, CANCELLED = 3, 10, 20, 30


def details(status: int, log: str = "", *commands: str, **fields: Any) -> dict[str, Any]:
    """Return a run whose first command is active, or all of whose commands have finished."""
    commands = commands or ("dbt build",)
    shown = commands[:1] if status == RUNNING else commands
    return {
        "id": 7,
        "status": status,
        "href": "https://dbt/runs/7/",
        "created_at": "2026-04-01 06:00:00+00:00",
        "status_message": "dbt command failed" if status == ERROR else "",
        "trigger": {"cause": "airflow", "steps_override": None},
        "job": {"execute_steps": list(commands)},
        "run_steps": [
            {"name": f"Invoke dbt with `{one}`", "status": status, "index": 4 + n, "logs": log}
            for n, one in enumerate(shown)
        ],
        **fields,
    }


def artifact(which: str = "build", **statuses: str) -> dict[str, Any]:
    ids = {"stg": STG, "orders": ORDERS, "test": TEST}
    results = [{"unique_id": ids[key], "status": status} for key, status in statuses.items()]
    return {"args": {"which": which}, "results": results}


def ended(
    status: int, *artifacts: dict[str, Any], log: str = "", commands: tuple[str, ...] = ()
) -> RunProgress:
    """Return a finished run with these results, one per command."""
    left = {4 + number: one for number, one in enumerate(artifacts)}
    return progress_of(details(status, log, *commands), left)


def line(word: str, label: str) -> str:
    return f"1 of 3 {word} {label} ..... [{word} in 0.10s]\n"


BUILT, PASSED = line("OK created sql table model", LABELS[ORDERS]), line("PASS", LABELS[TEST])

FAILED = line("ERROR creating", LABELS[ORDERS])
SKIPPED = f"   Skipped [-------] model {LABELS[ORDERS]} (table)\n"


def polled(polls: int, log: str) -> RunProgress:
    """Return an active run after so many polls."""
    run = None
    for _ in range(polls):
        run = merge_failures(run, progress_of(details(RUNNING, log), None))
    assert run
    return run


def with_failure_messages(log: str) -> RunProgress:
    why = {ORDERS: Failure("Runtime Error in model orders", "select 1")}
    return replace(polled(1, log), failures=why)


@pytest.mark.parametrize(
    ("run", "state"),
    [
        (progress_of(details(RUNNING), None), None),
        (progress_of(details(RUNNING, line("START sql model", LABELS[ORDERS])), None), None),
        (progress_of(details(RUNNING, BUILT), None), None),  # its test may follow
        (progress_of(details(RUNNING, BUILT + PASSED), None), "success"),
        (progress_of(details(RUNNING, BUILT + line("WARN 3", LABELS[TEST])), None), "success"),
        (progress_of(details(RUNNING, BUILT, "dbt run"), None), "success"),  # no test follows
        (progress_of(details(RUNNING, BUILT, "dbt run", "dbt test"), None), None),
        (progress_of(details(RUNNING, BUILT + line("FAIL 3", LABELS[TEST])), None), "failed"),
        (progress_of(details(RUNNING, FAILED), None), None),  # the message may follow
        (polled(MESSAGE_POLLS, FAILED), "failed"),
        (with_failure_messages(FAILED), "failed"),
        (progress_of(details(RUNNING, line("SKIP relation", LABELS[ORDERS])), None), None),
        (progress_of(details(RUNNING, SKIPPED), None), "skipped"),
        (progress_of(details(RUNNING, line("REUSED model", LABELS[ORDERS]) + PASSED), None),
         "success"),
        (ended(SUCCESS, artifact(orders="success", test="pass")), "success"),
        (ended(SUCCESS, artifact(orders="no-op")), "success"),
        (ended(SUCCESS, artifact(stg="success")), "skipped"),  # not in this run
        (ended(ERROR, artifact(orders="success", test="fail")), "failed"),
        (ended(ERROR, artifact(orders="partial success")), "failed"),
        (ended(ERROR, artifact(orders="cancelled")), "failed"),
        (ended(SUCCESS, artifact(orders="Success")), "failed"),
        (ended(ERROR, artifact(orders="success", test="timed out")), "failed"),
        (ended(ERROR, artifact(stg="error", orders="skipped")), "skipped"),
        (ended(ERROR), "failed"),
        (ended(CANCELLED, log=BUILT + PASSED), "success"),  # the log is the only source
        (ended(CANCELLED), "failed"),
    ],
)  # fmt: skip
def test_outcome_of_follows_the_node_and_its_tests(run: RunProgress, state: str | None) -> None:
    outcome = outcome_of(run, OWN)

    assert (outcome.state if outcome else None) == state


def test_failed_node_of_an_active_run_has_message_and_sql() -> None:
    run = with_failure_messages(FAILED)

    result = run.result(ORDERS, LABELS[ORDERS])
    assert result
    assert (result.message, result.last_sql) == ("Runtime Error in model orders", "select 1")
    assert not run.lacks_messages
    later = merge_failures(run, progress_of(details(RUNNING, FAILED), None))
    assert later.result(ORDERS, LABELS[ORDERS]) == result
    outcome = outcome_of(run, OWN)
    assert outcome
    assert lines_about(outcome)[1:3] == [
        "Runtime Error in model orders",
        f"Last SQL for {ORDERS}:\nselect 1",
    ]


def test_failed_node_is_reported_without_message_after_enough_polls() -> None:
    numbers = (1, MESSAGE_POLLS, MESSAGE_POLLS + 1)
    assert [polled(polls, FAILED).lacks_messages for polls in numbers] == [True, True, False]
    assert not polled(1, BUILT).lacks_messages
    assert not polled(MESSAGE_POLLS - 1, FAILED).result(ORDERS, LABELS[ORDERS])
    result = polled(MESSAGE_POLLS, FAILED).result(ORDERS, LABELS[ORDERS])
    assert result
    assert result.message == f"{FAILED.strip()}\n{NO_MESSAGE}"


def test_results_override_the_log() -> None:
    log = BUILT + line("FAIL 3", LABELS[TEST]) + line("OK created", LABELS[STG])
    run = ended(ERROR, artifact(orders="error", test="pass", stg="success"), log=log)

    results = {key: run.result(key, label) for key, label in LABELS.items()}

    assert {key: one.status for key, one in results.items() if one} == {
        STG: "success",
        ORDERS: "error",
        TEST: "pass",
    }


def test_step_without_own_results_takes_outcomes_from_its_log() -> None:
    """dbt Cloud returns the results of the step before."""
    left = artifact(orders="success") | {"metadata": {"invocation_id": "1"}}
    commands = ("dbt build", "dbt build --threads 1")
    run = ended(CANCELLED, left, left, log=FAILED, commands=commands)

    assert run.result(ORDERS, LABELS[ORDERS])
    outcome = outcome_of(run, OWN)
    assert outcome
    assert outcome.state == "failed"


def test_node_in_progress_when_its_run_was_cancelled_has_failed() -> None:
    begun = line("START sql table model", LABELS[ORDERS])
    run = ended(CANCELLED, artifact(orders="success"), log=begun, commands=("dbt run", "dbt run"))

    outcome = outcome_of(run, OWN)

    assert outcome
    assert outcome.state == "failed"
    assert "finished without a result of this node" in outcome.reason


@pytest.mark.parametrize(
    ("steps", "status"),
    [
        ([artifact("run", orders="success"), artifact(orders="error")], "error"),
        ([artifact(orders="error"), artifact("run", orders="success")], "error"),
        ([artifact(orders="success"), artifact(orders="skipped")], "skipped"),
        ([artifact(orders="skipped"), artifact(orders="success")], "success"),
        ([artifact(orders="success"), artifact("generate", orders="error")], "success"),
    ],
)
def test_node_that_runs_twice_has_its_failure_or_its_last_status(
    steps: list[dict[str, Any]], status: str
) -> None:
    commands = ("dbt run", "dbt build")
    run = ended(ERROR, *steps, commands=commands)

    result = run.result(ORDERS, LABELS[ORDERS])

    assert result
    assert result.status == run.results[ORDERS].status == status


def test_resumed_run_keeps_results_of_succeeded_nodes() -> None:
    failed = ended(ERROR, artifact(stg="success", orders="error"))
    resuming = progress_of(details(RUNNING), None)
    run = RunProgress(resuming.run, continues=failed)

    assert run.result(STG, LABELS[STG])
    assert not run.result(ORDERS, LABELS[ORDERS])


def test_newest_returns_the_newest_run_that_builds_a_node() -> None:
    job = ended(ERROR)
    active = progress_of(details(RUNNING, id=9), None)
    again = replace(active, selection=frozenset({"orders"}))
    progress = Progress((job, again))

    assert progress.newest("orders", after=0) is again
    assert progress.newest("orders", after=7) is again
    assert progress.newest("orders", after=9) is None
    assert progress.newest("stg_orders", after=0) is job
    assert progress.newest("stg_orders", after=7) is None


def test_log_is_unreadable_for_a_long_log_without_node_lines() -> None:
    assert progress_of(details(RUNNING, "Zzz\n" * 30), None).is_log_unreadable
    assert not progress_of(details(RUNNING, "Zzz\n" * 30 + BUILT), None).is_log_unreadable
    assert not progress_of(details(RUNNING, "Running with dbt=1.11\n"), None).is_log_unreadable

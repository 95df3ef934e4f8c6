from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from include.dbt_cloud.models.live_log import Failure
from include.dbt_cloud.models.progress import (
    LOOKS,
    NO_MESSAGE,
    Progress,
    RunProgress,
    heard_after,
    progress_of,
    results_in,
)
from include.dbt_cloud.models.trigger import lines_about, outcome_of

STG, ORDERS, TEST = "model.shop.stg_orders", "model.shop.orders", "test.shop.unique_orders.f00"
LABELS = {STG: "analytics.stg_orders", ORDERS: "analytics.orders", TEST: "unique_orders"}
OWN = {ORDERS: LABELS[ORDERS], TEST: LABELS[TEST]}
RUNNING, SUCCESS, ERROR, CANCELLED = 3, 10, 20, 30


def details(status: int, log: str = "", *commands: str, **fields: Any) -> dict[str, Any]:
    """A run whose first command is at work, or all of whose commands have ended."""
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


def line(said: str, label: str) -> str:
    return f"1 of 3 {said} {label} ..... [{said} in 0.10s]\n"


BUILT, PASSED = line("OK created sql table model", LABELS[ORDERS]), line("PASS", LABELS[TEST])

FAILED = line("ERROR creating", LABELS[ORDERS])


def heard(looks: int, log: str) -> RunProgress:
    """A run that goes on, and has been looked at so often."""
    run = None
    for _ in range(looks):
        run = heard_after(run, progress_of(details(RUNNING, log), None))
    assert run
    return run


def explained(log: str) -> RunProgress:
    why = {ORDERS: Failure("Runtime Error in model orders", "select 1")}
    return replace(heard(1, log), failures=why)


@pytest.mark.parametrize(
    ("run", "state"),
    [
        (progress_of(details(RUNNING), None), None),
        (progress_of(details(RUNNING, line("START sql model", LABELS[ORDERS])), None), None),
        (progress_of(details(RUNNING, BUILT), None), None),  # its test is still to come
        (progress_of(details(RUNNING, BUILT + PASSED), None), "success"),
        (progress_of(details(RUNNING, BUILT + line("WARN 3", LABELS[TEST])), None), "success"),
        (progress_of(details(RUNNING, BUILT, "dbt run"), None), "success"),  # no test will come
        (progress_of(details(RUNNING, BUILT, "dbt run", "dbt test"), None), None),
        (progress_of(details(RUNNING, BUILT + line("FAIL 3", LABELS[TEST])), None), "failed"),
        (progress_of(details(RUNNING, FAILED), None), None),  # why is still to come
        (heard(LOOKS, FAILED), "failed"),
        (explained(FAILED), "failed"),
        (progress_of(details(RUNNING, line("SKIP relation", LABELS[ORDERS])), None), "skipped"),
        (progress_of(details(RUNNING, line("REUSED model", LABELS[ORDERS]) + PASSED), None),
         "success"),
        (progress_of(details(SUCCESS), [artifact(orders="success", test="pass")]), "success"),
        (progress_of(details(SUCCESS), [artifact(orders="no-op")]), "success"),
        (progress_of(details(SUCCESS), [artifact(stg="success")]), "skipped"),  # not in this run
        (progress_of(details(ERROR), [artifact(orders="success", test="fail")]), "failed"),
        (progress_of(details(ERROR), [artifact(orders="partial success")]), "failed"),
        (progress_of(details(ERROR), [artifact(stg="error", orders="skipped")]), "skipped"),
        (progress_of(details(ERROR), []), "failed"),
        (progress_of(details(CANCELLED, BUILT + PASSED), []), "success"),  # the log is all
        (progress_of(details(CANCELLED), []), "failed"),
    ],
)  # fmt: skip
def test_a_task_ends_as_its_node_and_tests_do(run: RunProgress, state: str | None) -> None:
    outcome = outcome_of(run, OWN)

    assert (outcome.state if outcome else None) == state


def test_a_node_that_fails_while_the_run_goes_on_is_told_with_dbt_s_message() -> None:
    run = explained(FAILED)

    result = run.result(ORDERS, LABELS[ORDERS])
    assert result
    assert (result.message, result.last_sql) == ("Runtime Error in model orders", "select 1")
    assert not run.lacks_messages
    later = heard_after(run, progress_of(details(RUNNING, FAILED), None))
    assert later.result(ORDERS, LABELS[ORDERS]) == result
    outcome = outcome_of(run, OWN)
    assert outcome
    assert lines_about(outcome)[1:3] == [
        "Runtime Error in model orders",
        f"Last SQL for {ORDERS}:\nselect 1",
    ]


def test_after_some_looks_a_node_is_told_without_dbt_s_message() -> None:
    assert [heard(looks, FAILED).lacks_messages for looks in (1, LOOKS, LOOKS + 1)] == [
        True,
        True,
        False,
    ]
    assert not heard(1, BUILT).lacks_messages
    assert not heard(LOOKS - 1, FAILED).result(ORDERS, LABELS[ORDERS])
    result = heard(LOOKS, FAILED).result(ORDERS, LABELS[ORDERS])
    assert result
    assert result.message == f"{FAILED.strip()}\n{NO_MESSAGE}"


def test_what_the_results_deny_is_named() -> None:
    said = BUILT + line("FAIL 3", LABELS[TEST]) + line("OK created", LABELS[STG])
    results = [artifact(orders="error", test="pass", stg="success")]

    run = progress_of(details(ERROR, said), results)

    assert run.denied(LABELS) == {ORDERS: ("success", "error"), TEST: ("fail", "pass")}
    outcome = outcome_of(run, OWN)
    assert outcome
    assert outcome.state == "failed"


def test_a_node_is_what_its_last_step_says_and_other_commands_do_not_count() -> None:
    steps = [
        artifact(orders="error"),
        artifact("run", orders="success"),
        artifact("generate", orders="error"),
    ]

    assert results_in(steps)[ORDERS].status == "success"


def test_a_run_that_resumes_keeps_what_had_succeeded() -> None:
    failed = progress_of(details(ERROR), [artifact(stg="success", orders="error")])
    resuming = progress_of(details(RUNNING), None)
    run = RunProgress(resuming.run, continues=failed)

    assert run.result(STG, LABELS[STG])
    assert not run.result(ORDERS, LABELS[ORDERS])


def test_the_newest_run_that_builds_a_node_counts() -> None:
    job = progress_of(details(ERROR), [])
    again = RunProgress(progress_of(details(RUNNING, id=9), None).run, frozenset({"orders"}))
    progress = Progress((job, again))

    assert progress.newest("orders", after=0) is again
    assert progress.newest("orders", after=7) is again
    assert progress.newest("orders", after=9) is None
    assert progress.newest("stg_orders", after=0) is job
    assert progress.newest("stg_orders", after=7) is None


def test_a_long_log_of_which_nothing_is_understood_is_unread() -> None:
    assert progress_of(details(RUNNING, "Zzz\n" * 30), None).log_is_unread
    assert not progress_of(details(RUNNING, "Zzz\n" * 30 + BUILT), None).log_is_unread
    assert not progress_of(details(RUNNING, "Running with dbt=1.11\n"), None).log_is_unread

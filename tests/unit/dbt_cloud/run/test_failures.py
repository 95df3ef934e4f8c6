from __future__ import annotations

from typing import Any

import pytest
from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudJobRunException
from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudJobRunStatus as Status
from airflow.sdk.exceptions import AirflowFailException

from include.dbt_cloud.run.failures import is_in_the_code, lines_about
from tests.unit.dbt_cloud.conftest import BUILD, MakeTask, missing_table


def test_failure_message_names_step_node_error_url_and_remedy(make_task: MakeTask) -> None:
    task = make_task("dbt build --select stg_stores stg_products")

    with (
        missing_table(task.server, "stores"),
        pytest.raises(DbtCloudJobRunException) as failure,
    ):
        task.try_()

    reason = str(failure.value)
    assert "Step 4, Invoke dbt with `dbt build --select stg_stores stg_products`:" in reason
    assert "model.jaffle_shop.stg_stores (error): Runtime Error" in reason
    assert "Table with name stores does not exist" in reason
    assert "stg_products (" not in reason
    assert task.own_runs[0]["href"] in reason
    assert "clear this task" in reason


def test_failure_message_has_the_error_of_each_failed_batch(make_task: MakeTask) -> None:
    days = "--event-time-start 2026-09-01 --event-time-end 2026-09-03"
    task = make_task(f"dbt build --select order_totals {days}")

    with (
        missing_table(task.server, "orders"),
        pytest.raises(DbtCloudJobRunException) as failure,
    ):
        task.try_()

    reason = str(failure.value)
    assert "model.jaffle_shop.order_totals (error): ERROR\n    batch 2026-09-01 of " in reason
    assert "order_totals: Runtime Error\n      Catalog Error: Table with name orders" in reason


def test_failure_message_includes_the_log_of_a_step_without_results(make_task: MakeTask) -> None:
    task = make_task("dbt run-operation no_such_macro")

    with pytest.raises(AirflowFailException, match="could not find a macro"):
        task.try_()


def test_sql_that_no_warehouse_reads_fails_the_task_without_a_retry(make_task: MakeTask) -> None:
    task = make_task('dbt show --inline "selec 1"')

    with pytest.raises(AirflowFailException, match="syntax error at or near"):
        task.try_()


@pytest.mark.parametrize(
    ("description", "expected"),
    [
        ("Parsing Error in model orders", True),
        ("001003 (42000): SQL compilation error:\nsyntax error line 3 at position 7", True),
        ("[PARSE_SYNTAX_ERROR] Syntax error at or near 'selec'", True),
        ("002003 (42S02): SQL compilation error:\nObject 'RAW.STORES' does not exist", False),
        ("Catalog Error: Table with name stores does not exist!", False),
        ("Got 3 results, configured to fail if != 0", False),
        ("model.shop.syntax_errors (error): connection reset", False),
    ],
)
def test_failure_is_in_the_code_only_if_a_retry_would_repeat_it(
    description: str, expected: bool
) -> None:
    assert is_in_the_code(description) is expected


def test_failure_message_reports_a_cancelled_run(make_task: MakeTask, held_warehouse: None) -> None:
    task = make_task(BUILD)
    run_id = task.start()
    task.server.request("POST", f"runs/{run_id}/cancel/")
    task.server.wait(run_id)  # which may still be starting

    with pytest.raises(DbtCloudJobRunException, match="was cancelled: Cancelled by user"):
        task.operator().result(run_id)


@pytest.mark.parametrize("status", [Status.ERROR, Status.CANCELLED])
def test_lines_about_ends_with_the_callers_advice(status: Status) -> None:
    run = {"id": 7, "status": status.value, "href": "https://dbt/7", "run_steps": None}
    client: Any = None  # a run without steps needs none

    assert "clear this task" in " ".join(lines_about(client, run)).replace("clearing", "clear")
    assert [*lines_about(client, run, "Ask Ann.")][-1] == "Ask Ann."
    assert "this task" not in " ".join(lines_about(client, run, "Ask Ann."))

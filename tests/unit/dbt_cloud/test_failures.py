from __future__ import annotations

import pytest
from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudJobRunException

from tests.unit.dbt_cloud.conftest import BUILD, MakeTask, missing_table


def test_the_reason_names_step_nodes_messages_page_and_what_to_do(make_task: MakeTask) -> None:
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


def test_a_step_without_results_shows_the_end_of_its_log(make_task: MakeTask) -> None:
    task = make_task("dbt run-operation no_such_macro")

    with pytest.raises(DbtCloudJobRunException, match="could not find a macro"):
        task.try_()


def test_a_cancelled_run_says_so(make_task: MakeTask, held_warehouse: None) -> None:
    task = make_task(BUILD)
    run_id = task.start()
    task.server.request("POST", f"runs/{run_id}/cancel/")
    task.server.wait(run_id)  # it may still be starting

    with pytest.raises(DbtCloudJobRunException, match="was cancelled: Cancelled by user"):
        task.operator().result(run_id)

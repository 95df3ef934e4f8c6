from __future__ import annotations

import json
import re

import pytest

from include.dbt_cloud.models.operators import JOB, DbtCloudStartJobOperator
from tests.bundled import DAILY_BUILD
from tests.unit.dbt_cloud.conftest import RETRIES, MakeTask
from tests.unit.dbt_cloud.models.scripted_airflow import REST, RUN_JOB, MakeAirflow
from tests.unit.dbt_cloud.models.scripted_dbt_cloud import (
    NODES,
    UNIQUE_B,
    A,
    C,
    ScriptedDbtCloud,
    in_turn,
)

NAMESPACE = "snowflake://acme"


def test_node_outside_the_run_is_skipped_without_its_children(
    make_airflow: MakeAirflow,
) -> None:
    dbt_cloud = ScriptedDbtCloud(NODES, "dbt build --select marts")
    airflow = make_airflow(dbt_cloud, namespace=NAMESPACE)

    airflow.run()

    assert airflow.names("skipped") == {"a", "d", "countries"}
    assert airflow.names("success") == {"run_job", "b", "c", "rest_of_run", "check_results"}
    assert set(airflow.published) == {f"{NAMESPACE}/warehouse/analytics/{one}" for one in "bc"}


def test_check_results_is_the_only_leaf_of_the_group(
    make_airflow: MakeAirflow,
) -> None:
    airflow = make_airflow(ScriptedDbtCloud(NODES, "dbt build --select b c"))

    leaves = [one for one, task in airflow.tasks.items() if not task.downstream_task_ids]

    assert leaves == ["g.check_results"]


@pytest.mark.parametrize(
    ("steps", "skipped"),
    [
        (["dbt build --select b c"], {"a", "d", "countries"}),
        (["dbt build --select tag:daily c"], {"a", "d", "countries"}),  # from its results
        (["dbt seed", "dbt build --select marts", "dbt run --select d"], {"a"}),
    ],
)
def test_failed_run_skips_nodes_it_would_not_have_built(
    make_airflow: MakeAirflow, steps: list[str], skipped: set[str]
) -> None:
    dbt_cloud = ScriptedDbtCloud(NODES, *steps)
    dbt_cloud.choose = in_turn(C, "error")
    airflow = make_airflow(dbt_cloud)

    airflow.run()

    assert airflow.state("b") == "success"
    assert airflow.state("c") == "failed"
    assert airflow.names("skipped") == skipped


@pytest.mark.parametrize("how", ["cancelled", "dbt deps", "dbt build --select b c"])
def test_run_without_results_skips_nodes_it_does_not_select_by_name(
    make_airflow: MakeAirflow, how: str
) -> None:
    dbt_cloud = ScriptedDbtCloud(NODES, "dbt build --select b c")
    dbt_cloud.choose_command = lambda command: command != how
    airflow = make_airflow(dbt_cloud)
    run = airflow.start()
    if how == "cancelled":
        dbt_cloud.advance()
        dbt_cloud.cancel(run)

    airflow.settle()

    assert airflow.names("skipped") == {"a", "d", "countries"}
    assert airflow.state("b") == "failed"
    assert airflow.state("c") == "upstream_failed"
    assert not airflow.is_green


@pytest.mark.parametrize("steps", [["dbt test"], ["dbt test", "dbt test"], ["dbt test", "dbt ls"]])
def test_failed_test_fails_the_task_of_an_unbuilt_node(
    make_airflow: MakeAirflow, steps: list[str]
) -> None:
    dbt_cloud = ScriptedDbtCloud(NODES, *steps)
    dbt_cloud.choose = in_turn(UNIQUE_B, "fail")
    airflow = make_airflow(dbt_cloud)

    airflow.run()

    assert airflow.state("b") == "failed"
    assert airflow.names("skipped") == {"a", "d", "countries"}


def test_failed_node_without_a_task_fails_the_group(
    make_airflow: MakeAirflow,
) -> None:
    dbt_cloud = ScriptedDbtCloud(NODES, "dbt build")
    dbt_cloud.choose = in_turn(A, "error")
    airflow = make_airflow(dbt_cloud, exclude=["a"])

    airflow.run()

    assert airflow.names("skipped") == {"b", "c"}
    assert airflow.states[REST] == "failed"
    assert airflow.state("check_results") == "upstream_failed"


def test_xcoms_contain_only_storable_text(make_airflow: MakeAirflow) -> None:
    """PostgreSQL's JSON allows neither NUL nor lone surrogates."""
    dbt_cloud = ScriptedDbtCloud(NODES, "dbt build", grammar="unknown")
    dbt_cloud.choose, dbt_cloud.message = in_turn(C, "error"), "no \0 table \ud800"
    airflow = make_airflow(dbt_cloud)

    airflow.run()

    result = airflow.instances[airflow.task_id("c")].xcoms["return_value"]
    assert result["message"] == "no \ufffd table \ufffd"
    every = repr([one.xcoms for one in airflow.instances.values()])
    assert not re.search(r"\\x00|\\ud[89a-f]", every)


@pytest.mark.parametrize("state", ["skipped", "failed", "upstream_failed"])
def test_group_follows_a_first_task_that_started_no_run(
    make_airflow: MakeAirflow, state: str
) -> None:
    dbt_cloud = ScriptedDbtCloud(NODES, "dbt build")
    airflow = make_airflow(dbt_cloud)
    airflow.mark(RUN_JOB, state)

    airflow.settle()

    expected = "skipped" if state == "skipped" else "upstream_failed"
    assert set(airflow.states.values()) == {state, expected}
    assert dbt_cloud.runs == []


def test_group_fails_when_its_job_task_is_only_marked_as_success(make_airflow: MakeAirflow) -> None:
    airflow = make_airflow(ScriptedDbtCloud(NODES, "dbt build"))
    airflow.mark(RUN_JOB, "success")

    airflow.settle()

    assert airflow.errors[REST].endswith("has not started a run: clear it.")
    assert airflow.states[REST] == "failed"


def test_start_job_after_a_clear_stores_only_the_new_run(make_task: MakeTask) -> None:
    task = make_task()
    for _ in range(2):
        task.try_number += 1
        run_job = DbtCloudStartJobOperator(
            task_id="run_job",
            retries=RETRIES,
            job_id=DAILY_BUILD,
            additional_run_config={"steps_override": ["dbt deps"]},
        )
        run_id = run_job.execute(task.context(run_job))
        task.server.wait(run_id)
        task.clear()

    assert len(task.runs) == 2
    assert json.loads(task.pushed[JOB])["runs"] == [run_id]

from __future__ import annotations

from typing import Any

import pytest

from include.dbt_cloud.models.steps import can_run, result_of
from tests.unit.dbt_cloud.models.scripted_airflow import MakeAirflow
from tests.unit.dbt_cloud.models.scripted_dbt_cloud import (
    COUNTRIES,
    ERROR,
    NODES,
    UNIQUE_B,
    A,
    B,
    ScriptedDbtCloud,
    in_turn,
)


@pytest.mark.parametrize(
    "again",
    [
        "dbt build --select b",
        "dbt build --select marts",
        "dbt build --select tag:daily",
        "dbt build --select a+",
        "dbt run",
        "dbt --warn-error build",
        "dbt build --exclude d",
    ],
)
def test_node_that_fails_in_a_later_step_fails_its_task(
    make_airflow: MakeAirflow, again: str
) -> None:
    steps = ("dbt build --select a b", "dbt docs generate", "dbt build --select c", again)
    dbt_cloud = ScriptedDbtCloud(NODES, *steps)
    dbt_cloud.choose = in_turn(B, "success", "error")
    airflow = make_airflow(dbt_cloud)

    airflow.run()

    assert dbt_cloud.runs[-1].status == ERROR
    assert airflow.state("b") == "failed"
    assert not airflow.is_green


def test_node_task_waits_for_both_steps_of_a_repeated_command(make_airflow: MakeAirflow) -> None:
    dbt_cloud = ScriptedDbtCloud(NODES, "dbt build --select b", "dbt build --select b")
    dbt_cloud.choose = in_turn(B, "success", "error")
    airflow = make_airflow(dbt_cloud)

    airflow.run()

    assert airflow.state("b") == "failed"


def test_failed_test_of_a_later_step_fails_the_node_task(make_airflow: MakeAirflow) -> None:
    dbt_cloud = ScriptedDbtCloud(NODES, "dbt build", "dbt test --select c b")
    dbt_cloud.choose = in_turn(UNIQUE_B, "pass", "fail")
    airflow = make_airflow(dbt_cloud)

    airflow.run()

    assert airflow.state("b") == "failed"


@pytest.mark.parametrize("grammar", ["core", "fusion"])
@pytest.mark.parametrize(
    "later",
    [
        "dbt docs generate",
        "dbt source freshness",
        "dbt run-operation build --args '{select: b}'",
        "dbt parse",
        "dbt deps",
        "dbt ls --select b",
        "dbt compile",
        "dbt seed",
        "dbt snapshot",
        "dbt run --select d",
        "dbt run --select finance --exclude tag:daily",
    ],
)
def test_node_task_ignores_later_steps_that_cannot_run_its_node(
    make_airflow: MakeAirflow, later: str, grammar: str
) -> None:
    dbt_cloud = ScriptedDbtCloud(NODES, "dbt build", later, grammar=grammar)
    airflow = make_airflow(dbt_cloud)
    run = airflow.start()

    airflow.advance_until(lambda: airflow.state("c") == "success")

    assert run.command == "dbt build"
    assert airflow.state("b") == "success"


def test_node_tasks_end_with_the_step_of_their_kind_of_node(make_airflow: MakeAirflow) -> None:
    dbt_cloud = ScriptedDbtCloud(NODES, "dbt seed", "dbt run", "dbt test")
    airflow = make_airflow(dbt_cloud)
    run = airflow.start()

    airflow.advance_until(lambda: airflow.state("countries") == "success")
    assert run.command == "dbt seed"
    airflow.advance_until(lambda: airflow.state("a") == "success")
    assert run.command == "dbt run"
    airflow.advance_until(lambda: airflow.state("b") == "success")
    assert run.command == "dbt test"  # it has a test


@pytest.mark.parametrize(
    "line",
    [
        "1 of 1 PASS freshness of {} ..... [PASS in 0.01s]",
        "1 of 1 ERROR STALE freshness of {} ..... [ERROR STALE in 0.01s]",
        "1 of 1 ERROR freshness of {} ..... [ERROR in 0.01s]",
        "1 of 1 WARN freshness of {} ..... [WARN in 0.01s]",
        "1 of 1 OK cloned relation {} ..... [OK in 0.01s]",
    ],
)
@pytest.mark.parametrize("status", ["success", "error"])
def test_source_freshness_lines_do_not_affect_nodes_of_the_same_name(
    make_airflow: MakeAirflow, line: str, status: str
) -> None:
    dbt_cloud = ScriptedDbtCloud(NODES, "dbt source freshness", "dbt build")
    dbt_cloud.freshness = line
    dbt_cloud.choose = in_turn(COUNTRIES, status)
    airflow = make_airflow(dbt_cloud)

    airflow.run()

    assert airflow.state("countries") == ("success" if status == "success" else "failed")
    assert airflow.state("d") == "success"


@pytest.mark.parametrize(
    ("command", "unique_id", "expected"),
    [
        ("dbt build", A, True),
        ("dbt --warn-error --target run build", COUNTRIES, True),
        ("dbt build --select staging", A, True),  # its folder
        ("dbt build --select shop", A, True),  # its package
        ("dbt build --select b staging", A, True),
        ("dbt build -s b", A, False),
        ("dbt build --select b", A, False),
        ("dbt build --select 'b c'", A, False),
        ("dbt build --select b --exclude a", A, False),
        ("dbt build --select b --vars 'a'", A, False),
        ("dbt build --select +b", A, True),
        ("dbt build --select stg_*", A, True),
        ("dbt build --select staging.a", A, True),
        ("dbt build --select models/staging", A, True),
        ("dbt build --select=b", A, True),
        ("dbt build -sb", A, True),
        ("dbt build --models b", A, True),
        ("dbt build --selector b", A, True),
        ("dbt build --select b --selector nightly", A, True),
        ("dbt build --exclude a", A, True),
        ("dbt build --select b", UNIQUE_B, True),
        ("dbt build --select c", UNIQUE_B, True),  # a test may be about several nodes
        ("dbt run", COUNTRIES, False),
        ("dbt seed", A, False),
        ("dbt snapshot", A, False),
        ("dbt test", A, False),
        ("dbt test --select a", UNIQUE_B, True),
        ("dbt retry", A, True),
        ("dbt run-operation build", A, False),
        ("dbt clone", A, False),
        ("dbt something-new", A, True),
        ("dbt build --select 'a", A, True),  # a quotation without an end
    ],
)
def test_can_run_evaluates_verb_and_selection(command: str, unique_id: str, expected: bool) -> None:
    assert can_run(command, unique_id, folder="staging") is expected


def test_can_run_accepts_each_name_of_a_model_version() -> None:
    names = ("orders", "orders_v2", "orders.v2", "marts")

    assert all(can_run(f"dbt run --select {one}", "model.shop.orders.v2", "marts") for one in names)
    assert not can_run("dbt run --select stores", "model.shop.orders.v2", "marts")


def test_can_run_is_true_for_a_node_of_unknown_folder() -> None:
    assert can_run("dbt build --select b", A)


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), None, "soon"])
def test_result_of_replaces_unstorable_times_by_zero(seconds: Any) -> None:
    entry = {"unique_id": B, "status": "success", "execution_time": seconds}

    assert result_of(entry).seconds == 0.0

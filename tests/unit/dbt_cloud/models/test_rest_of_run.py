from __future__ import annotations

import pytest

from tests.unit.dbt_cloud.models.scripted_airflow import (
    REST,
    RUN_JOB,
    MakeAirflow,
    ScriptedAirflow,
)
from tests.unit.dbt_cloud.models.scripted_dbt_cloud import (
    NODES,
    A,
    B,
    D,
    Node,
    ScriptedDbtCloud,
    build_only,
    in_turn,
)


def test_failed_step_without_nodes_fails_the_group(make_airflow: MakeAirflow) -> None:
    dbt_cloud = ScriptedDbtCloud(NODES, "dbt build --select b c", "dbt run-operation grant")
    dbt_cloud.choose_command = lambda command: "grant" not in command
    airflow = make_airflow(dbt_cloud)

    airflow.run()

    assert airflow.states[REST] == "failed"
    assert "dbt run-operation grant" in airflow.errors[REST]
    assert airflow.names("success") == {"run_job", "b", "c"}


def test_run_cancelled_after_all_nodes_ended_fails_the_group(
    make_airflow: MakeAirflow,
) -> None:
    dbt_cloud = ScriptedDbtCloud(NODES, "dbt build", "dbt docs generate")
    airflow = make_airflow(dbt_cloud)
    run = airflow.start()

    airflow.advance_until(lambda: run.command == "dbt docs generate")
    dbt_cloud.cancel(run)
    airflow.settle()

    assert airflow.names("success") >= {"a", "b", "c", "d", "countries"}
    assert airflow.states[REST] == "failed"
    assert not airflow.is_green


def test_run_that_fails_before_its_nodes_fails_the_group(make_airflow: MakeAirflow) -> None:
    dbt_cloud = ScriptedDbtCloud(NODES, "dbt build")
    dbt_cloud.choose_command = lambda command: command != "dbt deps"
    airflow = make_airflow(dbt_cloud)

    airflow.run()

    assert airflow.states[REST] == "failed"
    assert airflow.names("success") == {"run_job"}


def run_that_dies(make_airflow: MakeAirflow, **arguments: int) -> ScriptedAirflow:
    dbt_cloud = ScriptedDbtCloud(NODES, "dbt build")
    dbt_cloud.choose_command = lambda command: command != "dbt build"
    airflow = make_airflow(dbt_cloud, **arguments)
    airflow.run()
    return airflow


def test_group_succeeds_once_nodes_of_a_run_without_results_are_rebuilt(
    make_airflow: MakeAirflow,
) -> None:
    airflow = run_that_dies(make_airflow)
    assert airflow.names("failed") == {"a", "countries", "d"}
    assert airflow.names("success") == {"run_job", "rest_of_run"}
    assert not airflow.is_green

    airflow.dbt_cloud.choose_command = lambda command: True
    airflow.clear("a", "countries", "d")
    airflow.settle()

    assert airflow.is_green


def test_retries_rebuild_the_nodes_of_a_run_without_results(make_airflow: MakeAirflow) -> None:
    airflow = run_that_dies(make_airflow, retries=1)

    assert airflow.is_green
    assert len(airflow.dbt_cloud.runs) == 2


@pytest.mark.parametrize("retries", [0, 1])
def test_check_results_names_a_skipped_node_that_no_task_has_built(
    make_airflow: MakeAirflow, retries: int
) -> None:
    dbt_cloud = ScriptedDbtCloud(NODES, "dbt build")
    dbt_cloud.choose = in_turn(A, "error")
    airflow = make_airflow(dbt_cloud, retries=retries, exclude=["b"])

    airflow.run()
    airflow.clear("a")
    airflow.settle()

    assert airflow.names("success") >= {"a", "c"}
    assert airflow.state("check_results") == "failed"
    assert B in airflow.errors["g.check_results"]

    airflow.clear(RUN_JOB)
    airflow.settle()
    assert airflow.is_green


def test_check_results_fails_for_unbuilt_nodes_marked_as_success(
    make_airflow: MakeAirflow,
) -> None:
    airflow = run_that_dies(make_airflow)

    for name in ("a", "b", "c", "d", "countries"):
        airflow.mark(name, "success")
    airflow.clear("check_results")
    airflow.settle()

    assert airflow.state("check_results") == "failed"
    assert not airflow.is_green


def test_failed_hook_fails_the_group(make_airflow: MakeAirflow) -> None:
    dbt_cloud = ScriptedDbtCloud(NODES, "dbt build")
    dbt_cloud.hooks = {"operation.shop.shop-on-run-end-0": "error"}
    airflow = make_airflow(dbt_cloud)

    airflow.run()

    assert airflow.states[REST] == "failed"


def test_failed_hook_in_a_rebuilding_run_fails_the_group(
    make_airflow: MakeAirflow,
) -> None:
    dbt_cloud = ScriptedDbtCloud(NODES, "dbt build")
    airflow = make_airflow(dbt_cloud)
    airflow.run()
    assert airflow.is_green

    dbt_cloud.hooks = {"operation.shop.shop-on-run-end-0": "error"}
    airflow.clear("d")
    airflow.settle()

    assert airflow.state("d") == "success"
    assert airflow.state("check_results") == "failed"


def test_check_results_fails_when_results_contradict_the_log(make_airflow: MakeAirflow) -> None:
    dbt_cloud = ScriptedDbtCloud(NODES, "dbt build")
    dbt_cloud.choose, dbt_cloud.logged = in_turn(D, "error"), {D: "success"}
    airflow = make_airflow(dbt_cloud)

    airflow.run()

    assert airflow.state("d") == "success"
    assert airflow.state("check_results") == "failed"
    assert "g.finance.d" in airflow.errors["g.check_results"]


def test_clear_rebuilds_a_node_whose_results_contradict_the_log(
    make_airflow: MakeAirflow,
) -> None:
    dbt_cloud = ScriptedDbtCloud(NODES, "dbt build")
    dbt_cloud.choose, dbt_cloud.logged = in_turn(D, "error"), {D: "success"}
    airflow = make_airflow(dbt_cloud)
    airflow.run()

    airflow.clear("d")
    airflow.settle()

    assert airflow.is_green
    assert dbt_cloud.runs[-1].steps_override == [build_only(D)]


def test_check_results_fails_for_a_skipped_child_of_a_rebuilt_node(
    make_airflow: MakeAirflow,
) -> None:
    dbt_cloud = ScriptedDbtCloud([*NODES, Node("snapshot.shop.z", (D,))], "dbt build")
    dbt_cloud.choose, dbt_cloud.logged = in_turn(D, "error"), {D: "success"}
    airflow = make_airflow(dbt_cloud)
    airflow.run()
    assert airflow.state("z") == "skipped"

    for name in ("d", "check_results"):
        airflow.clear(name, downstream=False)
        airflow.settle()

    assert airflow.state("d") == "success"
    assert airflow.state("check_results") == "failed"
    assert "g.z" in airflow.errors["g.check_results"]


def test_check_results_fails_for_a_failed_node_marked_as_success(
    make_airflow: MakeAirflow,
) -> None:
    dbt_cloud = ScriptedDbtCloud(NODES, "dbt build")
    dbt_cloud.choose = in_turn(D, "error")
    airflow = make_airflow(dbt_cloud)
    airflow.run()
    assert airflow.names("failed", "upstream_failed") == {"d", "check_results"}

    airflow.mark("d", "success")
    airflow.clear("check_results")
    airflow.settle()

    assert "g.finance.d" in airflow.errors["g.check_results"]


def test_check_results_fails_after_a_failed_rerun_of_the_job_task(
    make_airflow: MakeAirflow,
) -> None:
    dbt_cloud = ScriptedDbtCloud(NODES, "dbt build")
    airflow = make_airflow(dbt_cloud)
    airflow.run()

    dbt_cloud.choose_command = lambda command: command != "dbt deps"
    airflow.clear(RUN_JOB, downstream=False)
    airflow.clear("check_results")
    airflow.settle()

    assert airflow.state("check_results") == "failed"


def test_node_task_cleared_alone_fails_with_its_node(make_airflow: MakeAirflow) -> None:
    dbt_cloud = ScriptedDbtCloud(NODES, "dbt build")
    airflow = make_airflow(dbt_cloud)
    airflow.run()

    dbt_cloud.choose = in_turn(B, "error")
    airflow.clear("b", downstream=False)
    airflow.settle()

    assert airflow.state("b") == "failed"
    airflow.clear("check_results", downstream=False)
    airflow.settle()
    assert not airflow.is_green


@pytest.mark.parametrize("how", ["clear", "mark", "execution_timeout"])
@pytest.mark.parametrize(("name", "is_cancelled"), [(REST, True), ("check_results", False)])
def test_only_rest_of_run_cancels_its_run(
    make_airflow: MakeAirflow, name: str, is_cancelled: bool, how: str
) -> None:
    """The runs that the check waits for may rebuild nodes for other tasks."""
    dbt_cloud = ScriptedDbtCloud(NODES, "dbt build")
    airflow = make_airflow(dbt_cloud)
    run = airflow.start()
    if name == "check_results":
        airflow.run()
        airflow.clear("d")
        airflow.step()
        airflow.step()
        run = dbt_cloud.runs[-1]
        airflow.advance_until(lambda: airflow.state("d") == "success")
        airflow.step()
        assert run.steps_override == [build_only(D)]
    assert airflow.state(name) == "deferred"
    assert run.is_active

    if how == "clear":
        airflow.clear(name)
    elif how == "mark":
        airflow.mark(name, "failed")
    else:
        airflow.time_out(name)
        airflow.work()

    assert run.is_active != is_cancelled

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.dbt_cloud.models.scripted_airflow import RUN_JOB, MakeAirflow, ScriptedAirflow
from tests.unit.dbt_cloud.models.scripted_dbt_cloud import (
    NODES,
    B,
    C,
    ScriptedDbtCloud,
    build_only,
    in_turn,
)


def fail_once(make_airflow: MakeAirflow, *steps: str, **arguments: Any) -> ScriptedAirflow:
    """Return a group whose run failed at ``c``, after ``a`` and ``b``."""
    dbt_cloud = ScriptedDbtCloud(NODES, *steps or ("dbt build --select a b c",))
    dbt_cloud.choose = in_turn(C, "error")
    airflow = make_airflow(dbt_cloud, **arguments)
    airflow.run()
    assert airflow.state("c") == "failed"
    return airflow


@pytest.mark.parametrize("forgets", [False, True])
@pytest.mark.parametrize("is_retried_by_dbt_cloud", [False, True])
def test_resumed_group_counts_nodes_that_had_succeeded(
    make_airflow: MakeAirflow, forgets: bool, is_retried_by_dbt_cloud: bool
) -> None:
    airflow = fail_once(make_airflow, forgets=forgets)
    if not is_retried_by_dbt_cloud:  # the job has run since
        airflow.dbt_cloud.start()
        airflow.dbt_cloud.finish()

    airflow.clear(RUN_JOB)
    airflow.run()

    assert airflow.is_green
    assert airflow.names("skipped") == {"d", "countries"}
    last = airflow.dbt_cloud.runs[-1]
    assert airflow.chain() == [1, last.id]
    assert bool(last.retries) == is_retried_by_dbt_cloud


@pytest.mark.parametrize("steps", [None, ["dbt build --select a", "dbt build --select b c"]])
def test_chain_of_runs_is_read_from_dbt_cloud_alone(
    make_airflow: MakeAirflow, steps: list[str] | None
) -> None:
    """Failed, retried by dbt Cloud, failed, finished by commands, and started again."""
    dbt_cloud = ScriptedDbtCloud(NODES, "dbt build --select a", "dbt build --select b c")
    dbt_cloud.choose = in_turn(C, "error", "error", "error")
    arguments: dict[str, Any] = {"steps_override": steps} if steps else {}
    airflow = make_airflow(dbt_cloud, forgets=True, **arguments)
    airflow.run()
    assert airflow.chain() == [1]

    airflow.clear(RUN_JOB)
    airflow.run()
    assert airflow.chain() == [1, 2]
    for runs in ([1, 2, 4], [1, 2, 4, 6]):
        dbt_cloud.start(["dbt parse"])  # another run, so that dbt Cloud cannot retry earlier ones
        dbt_cloud.finish()
        airflow.instances[RUN_JOB].stored.clear()  # as Airflow 3.4 does with a clear
        airflow.clear(RUN_JOB)
        airflow.run()
        assert airflow.chain() == runs
    assert airflow.is_green
    assert dbt_cloud.runs[3].steps_override == [build_only(C)]

    airflow.clear(RUN_JOB)
    airflow.run()
    assert airflow.chain() == [7]
    assert dbt_cloud.runs[-1].steps_override == steps


def test_chain_has_only_the_new_run_after_a_cancelled_one(make_airflow: MakeAirflow) -> None:
    airflow = fail_once(make_airflow)
    airflow.clear(RUN_JOB)
    airflow.start()
    airflow.dbt_cloud.cancel(airflow.dbt_cloud.runs[-1])
    airflow.settle()

    airflow.clear(RUN_JOB)
    airflow.run()

    assert airflow.chain() == [3]
    assert airflow.is_green


def test_resumed_run_can_fail_a_node_that_had_succeeded(make_airflow: MakeAirflow) -> None:
    airflow = fail_once(make_airflow, "dbt build --select a b", "dbt build --select c", "dbt build")
    airflow.dbt_cloud.choose = in_turn(B, "error")

    airflow.clear(RUN_JOB)
    airflow.run()

    assert airflow.state("b") == "failed"
    assert airflow.state("c") == "upstream_failed"


def test_resumed_run_that_fails_early_leaves_unbuilt_nodes_failed(
    make_airflow: MakeAirflow,
) -> None:
    airflow = fail_once(make_airflow)
    airflow.dbt_cloud.choose_command = lambda command: command != "dbt deps"

    airflow.clear(RUN_JOB)
    airflow.run()

    assert airflow.names("success") == {"run_job", "a", "b"}
    assert airflow.names("skipped") == {"d", "countries"}
    assert airflow.names("failed") == {"c", "rest_of_run"}

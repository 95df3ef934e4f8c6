from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudJobRunStatus as Status

from include.dbt_cloud.api.commands import select_only
from include.dbt_cloud.api.responses import LONGEST_WAIT
from include.dbt_cloud.api.runs import Run
from include.dbt_cloud.models.following import GroupRuns, selected
from include.dbt_cloud.models.progress import Progress, RunProgress
from include.dbt_cloud.models.steps import Step
from include.dbt_cloud.models.trigger import DbtCloudNodeTrigger
from include.local_dbt_cloud.testing import LocalDbtCloud
from tests.bundled import DAILY_BUILD
from tests.unit.dbt_cloud.conftest import go_well, go_wrong
from tests.unit.dbt_cloud.models.scripted_airflow import MakeAirflow
from tests.unit.dbt_cloud.models.scripted_dbt_cloud import NODES, D, ScriptedDbtCloud


def test_selected_reads_names_that_need_quotes() -> None:
    nodes = ["größe", "orders", "unit_test:totals"]
    command = select_only("dbt build --vars '{a: b}'", nodes)

    assert command
    assert selected([command, "dbt parse"]) == set(nodes)


def test_group_runs_raises_without_a_run_to_follow() -> None:
    with pytest.raises(ValueError, match="has not started a run: clear it"):
        GroupRuns.of("dbt_cloud_default", job="")


def node_trigger(server: LocalDbtCloud, max_silence: float) -> DbtCloudNodeTrigger:
    job = {"account_id": server.account_id, "job_id": DAILY_BUILD, "runs": [10**9], "key": "key"}
    return DbtCloudNodeTrigger(
        conn_id="dbt_cloud_default",
        job=json.dumps(job),
        followed="",
        nodes={"model.jaffle_shop.orders": "model analytics.orders"},
        poll_interval=600.0,
        max_silence=max_silence,
    )


def test_node_trigger_keeps_max_silence_despite_a_long_retry_after(
    dbt_cloud_connection: LocalDbtCloud,
) -> None:
    trigger = node_trigger(dbt_cloud_connection, max_silence=2.0)
    go_wrong(dbt_cloud_connection, "429", seconds=3600, times=1000)
    began = time.monotonic()

    async def fired() -> list[Any]:
        return [event async for event in trigger.run()]

    (event,) = asyncio.run(fired())

    go_well(dbt_cloud_connection)
    assert event.task_instance_state == "failed"
    assert time.monotonic() - began < LONGEST_WAIT


def test_node_trigger_tolerates_one_failed_poll_after_a_long_interval(
    dbt_cloud_connection: LocalDbtCloud,
) -> None:
    trigger = node_trigger(dbt_cloud_connection, max_silence=0.1)
    active = Run(10**9, Status.RUNNING.value, "", "", False, None, datetime.now(UTC))

    async def story() -> list[Any]:
        async def polls() -> Any:
            for problem in ("", "503", ""):
                yield Progress((RunProgress(active, (Step("dbt build"),)),), problem)
                await asyncio.sleep(0.2)

        return [event async for event in trigger.filter_shared_stream(polls())]

    assert asyncio.run(story()) == []


@pytest.mark.parametrize("status", [401, 403, 400])
def test_node_tasks_wait_while_results_are_refused(make_airflow: MakeAirflow, status: int) -> None:
    dbt_cloud = ScriptedDbtCloud(NODES, "dbt build")
    dbt_cloud.refused = status
    airflow = make_airflow(dbt_cloud, exclude=["d"])
    airflow.start()
    dbt_cloud.finish()

    airflow.poll()
    assert airflow.names("deferred") >= {"a", "countries"}
    dbt_cloud.refused = 0
    airflow.settle()

    assert airflow.is_green
    assert airflow.names("skipped") == set()


def test_node_tasks_fail_when_results_stay_refused(make_airflow: MakeAirflow) -> None:
    dbt_cloud = ScriptedDbtCloud(NODES, "dbt build")
    dbt_cloud.refused = 403
    airflow = make_airflow(dbt_cloud, max_silence=60)
    airflow.start()
    dbt_cloud.finish()

    for _ in range(20):
        airflow.poll()
        airflow.clock += 5

    assert airflow.names("failed") == {"a", "countries", "d"}
    result = airflow.instances[airflow.task_id("d")].xcoms["return_value"]
    assert (result["unique_id"], result["run_id"]) == (D, 1)
    assert "dbt Cloud returned 403" in result["reason"]

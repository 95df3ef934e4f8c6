from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from airflow.triggers.shared_stream import SharedStreamManager

from include.dbt_cloud.models.trigger import AFTER, REBUILD, DbtCloudNodeTrigger
from include.local_dbt_cloud.pytest_plugin import MakeLocalDbtCloud
from include.local_dbt_cloud.testing import LocalDbtCloud
from tests.bundled import DAILY_BUILD
from tests.unit.dbt_cloud.conftest import MakeTask, go_wrong, missing_table

STORES = {"model.jaffle_shop.stg_stores": "analytics.stg_stores"}
MANY = 1_000_000


def trigger_of(server: LocalDbtCloud, run_id: int, **arguments: Any) -> DbtCloudNodeTrigger:
    key = f"airflow-models:{server.host}"  # two servers can have a run with this id
    job = {"account_id": server.account_id, "job_id": 65767, "runs": [run_id], "key": key}
    default: dict[str, Any] = {
        "conn_id": "dbt_cloud_default",
        "job": json.dumps(job),
        "followed": "",
    }
    default |= {"nodes": STORES, "poll_interval": 0.1, "max_silence": 60.0}
    return DbtCloudNodeTrigger(**default | arguments)


def events(*triggers: DbtCloudNodeTrigger) -> list[Any]:
    """Return the events of triggers that run in one triggerer."""

    async def first_event(streams: SharedStreamManager, number: int) -> Any:
        trigger = triggers[number]
        key = trigger.shared_stream_key()
        stream = streams.subscribe(trigger_id=number, trigger=trigger, key=key)
        try:
            return await anext(aiter(trigger.filter_shared_stream(stream)))
        finally:
            await streams.unsubscribe(number, key)

    async def all_events() -> list[Any]:
        streams = SharedStreamManager()
        return await asyncio.gather(*(first_event(streams, n) for n in range(len(triggers))))

    return asyncio.run(all_events())


def test_node_trigger_is_restored_from_its_serialized_form(
    dbt_cloud_connection: LocalDbtCloud,
) -> None:
    trigger = trigger_of(dbt_cloud_connection, 7, patience=3.0, publishes=True)
    path, saved = trigger.serialize()

    assert path == "include.dbt_cloud.models.trigger.DbtCloudNodeTrigger"
    assert DbtCloudNodeTrigger(**saved).serialize() == (path, saved)


def test_node_trigger_returns_state_and_xcoms_of_the_node(make_task: MakeTask) -> None:
    task = make_task("dbt build --select stg_stores")
    run_id = task.start()

    (event,) = events(trigger_of(task.server, run_id))

    assert event.task_instance_state == "success"
    assert event.xcoms["dbt_cloud_run_id"] == run_id
    result = event.xcoms["return_value"]
    assert (result["status"], result["run_id"]) == ("success", run_id)


def test_node_trigger_reports_message_and_sql_of_a_failed_node(make_task: MakeTask) -> None:
    task = make_task("dbt build --select stg_stores")
    with missing_table(task.server, "stores"):
        run_id = task.start()
        task.server.wait(run_id)

    (event,) = events(trigger_of(task.server, run_id))

    assert event.task_instance_state == "failed"
    result = event.xcoms["return_value"]
    assert "Table with name stores does not exist" in result["message"]
    assert '"raw"."stores"' in result["compiled_sql"]


def test_node_trigger_reports_the_message_while_the_run_is_active(
    make_local_dbt_cloud: MakeLocalDbtCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "shop"
    models = project / "models"
    models.mkdir(parents=True)
    (project / "dbt_project.yml").write_text("name: shop\nversion: '1.0'\nprofile: shop\n")
    (models / "stores.sql").write_text("select * from raw.shops")
    (models / "slow.sql").write_text("{{ config(materialized='table') }} select sleep_ms(60000)")
    server = make_local_dbt_cloud("--dbt-project", str(project))
    monkeypatch.setenv("AIRFLOW_CONN_DBT_CLOUD_DEFAULT", server.connection)
    run_id = server.trigger(DAILY_BUILD, steps_override=["dbt build"])

    (event,) = events(trigger_of(server, run_id, nodes={"model.shop.stores": "analytics.stores"}))

    assert server.get(f"runs/{run_id}/")["in_progress"]
    assert event.task_instance_state == "failed"
    result = event.xcoms["return_value"]
    assert "Table with name shops does not exist" in result["message"]
    assert "select * from raw.shops" in result["last_sql"]
    server.request("POST", f"runs/{run_id}/cancel/")


def test_node_trigger_leaves_publishing_to_a_worker(make_task: MakeTask) -> None:
    task = make_task("dbt build --select stg_stores")

    (event,) = events(trigger_of(task.server, task.start(), publishes=True))

    assert not hasattr(event, "task_instance_state")
    assert event.payload["outcome"] == "built"


@pytest.mark.parametrize(
    ("command", "is_built"), [("dbt build --select stg_stores", True), ("dbt parse", False)]
)
def test_node_trigger_rebuilds_or_skips_a_node_already_followed(
    make_task: MakeTask, command: str, is_built: bool
) -> None:
    task = make_task(command)
    run_id = task.start()

    (event,) = events(trigger_of(task.server, run_id, followed=str(run_id)))

    expected = {"outcome": REBUILD, AFTER: run_id} if is_built else "skipped"
    assert event.payload == expected
    assert not is_built or not task.runs[0]["in_progress"]


def test_node_triggers_of_a_run_share_its_calls(make_task: MakeTask) -> None:
    task = make_task("dbt parse")
    run_id = task.start()
    task.server.wait(run_id)
    go_wrong(task.server, "slow", seconds=0, times=MANY, method="GET", path="*/runs*")

    def calls_of(count: int) -> int:
        before = left()
        assert len(events(*(trigger_of(task.server, run_id) for _ in range(count)))) == count
        return before - left()

    def left() -> int:
        faults = task.server.request("GET", "/faults").json()["data"]
        return int(faults[-1]["times"])

    # The run, and the list of rebuilding runs; its commands have no results.
    assert calls_of(150) == 2
    assert calls_of(1) == 1  # finished runs are cached


@pytest.mark.parametrize("kind", ["429", "500", "close-before", "truncate"])
def test_node_trigger_ignores_failed_polls(make_task: MakeTask, kind: str) -> None:
    task = make_task("dbt build --select stg_stores")
    run_id = task.start()
    go_wrong(task.server, kind, times=2, method="GET", path="*/runs/*")

    (event,) = events(trigger_of(task.server, run_id))

    assert event.task_instance_state == "success"


def test_node_trigger_fails_the_task_after_max_silence(
    make_task: MakeTask, capsys: pytest.CaptureFixture[str]
) -> None:
    task = make_task("dbt parse")
    run_id = task.start()
    go_wrong(task.server, "503", times=MANY, method="GET", path="*/runs/*")

    (event,) = events(trigger_of(task.server, run_id, max_silence=0.5))

    assert event.task_instance_state == "failed"
    assert event.xcoms.keys() == {"return_value"}  # the next try follows the same run
    result = event.xcoms["return_value"]
    assert (result["unique_id"], result["run_id"]) == (*STORES, run_id)
    assert "was unreadable for" in result["reason"]
    assert "dbt Cloud returned 503" in result["reason"]
    assert "dbt Cloud returned 503" in capsys.readouterr().out

"""The trigger in Airflow's own shared streams, against the real local dbt Cloud."""

from __future__ import annotations

import asyncio
import re
import time
from contextlib import suppress
from typing import Any

import pytest
from airflow.triggers.shared_stream import SharedStreamManager

from include.dbt_cloud.polling import Account, Poll, pause, waiting
from include.dbt_cloud.trigger import CANCELLING, DbtCloudRunTrigger
from tests.running_dbt_cloud import RunningDbtCloud
from tests.unit.dbt_cloud.conftest import BUILD, MakeTask, go_well, go_wrong

POLLS = {"method": "GET", "path": "*/runs"}
MANY = 1_000_000
PATIENCE = 60.0  # seconds; for a busy machine


def trigger_of(server: RunningDbtCloud, run_id: int, **wait: Any) -> DbtCloudRunTrigger:
    default = {
        "conn_id": "dbt_cloud_default",
        "account_id": server.account_id,
        "run_id": run_id,
        "poll_interval": 0.1,
        "end_time": time.time() + 60,
        "execution_deadline": None,
        "max_silence": 60.0,
    }
    return DbtCloudRunTrigger(**default | wait)


def events(*triggers: DbtCloudRunTrigger) -> list[dict[str, Any]]:
    """What the triggers fire when one triggerer runs all of them."""

    async def all_events() -> list[dict[str, Any]]:
        streams = SharedStreamManager()
        numbered = enumerate(triggers)
        return await asyncio.gather(*(first_event(streams, trigger, n) for n, trigger in numbered))

    return asyncio.run(all_events())


async def first_event(
    streams: SharedStreamManager, trigger: DbtCloudRunTrigger, number: int
) -> dict[str, Any]:
    key = trigger.shared_stream_key()
    stream = streams.subscribe(trigger_id=number, trigger=trigger, key=key)
    try:
        async for event in trigger.filter_shared_stream(stream):
            payload: dict[str, Any] = event.payload
            return payload
        raise AssertionError("the trigger has fired nothing")
    finally:
        await streams.unsubscribe(number, key)


def count_calls(server: RunningDbtCloud) -> int:
    """From the first call of this on, how many polls there were: faults that do no harm count."""
    left = server.request("GET", "../../../../faults").json()["data"]
    if not left:
        go_wrong(server, "slow", seconds=0, times=MANY, **POLLS)
        return 0
    return MANY - int(left[-1]["times"])


def test_a_trigger_is_made_again_from_what_it_saves(dbt_cloud_connection: RunningDbtCloud) -> None:
    trigger = trigger_of(dbt_cloud_connection, 7, execution_deadline=8.0)
    path, saved = trigger.serialize()

    assert path == "include.dbt_cloud.trigger.DbtCloudRunTrigger"
    assert DbtCloudRunTrigger(**saved).wait == trigger.wait


def test_it_fires_once_the_run_has_ended(make_task: MakeTask) -> None:
    task = make_task("dbt deps")
    run_id = task.start()

    (event,) = events(trigger_of(task.server, run_id))

    assert (event["run_id"], event["outcome"]) == (run_id, "ended")
    assert task.runs[0]["status_humanized"] == "Success"


def test_it_works_without_a_triggerer(make_task: MakeTask) -> None:
    """As ``airflow dags test`` runs it."""
    task = make_task("dbt deps")
    trigger = trigger_of(task.server, task.start())

    async def first_event() -> Any:
        return await anext(aiter(trigger.run()))

    assert asyncio.run(first_event()).payload["outcome"] == "ended"


def test_all_triggers_share_one_call(make_task: MakeTask) -> None:
    task = make_task("dbt deps")
    run_id = task.start()
    task.server.wait(run_id)
    count_calls(task.server)

    fired = events(*(trigger_of(task.server, run_id) for _ in range(150)))

    assert len(fired) == 150
    assert count_calls(task.server) == 1


def test_one_that_comes_later_does_not_wait_for_a_patient_one_s_interval(
    make_task: MakeTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = make_task("dbt deps")
    run_id = task.start()
    patient = trigger_of(task.server, 10**9, poll_interval=1000)
    polled = asyncio.Event()
    monkeypatch.setattr(patient, "event", lambda *_: polled.set())

    async def story() -> dict[str, Any]:
        streams = SharedStreamManager()
        waiting = asyncio.create_task(first_event(streams, patient, 0))
        await polled.wait()
        later = trigger_of(task.server, run_id)
        event = await asyncio.wait_for(first_event(streams, later, 1), PATIENCE)
        waiting.cancel()
        return event

    assert asyncio.run(story())["run_id"] == run_id


def test_a_hundred_and_one_runs_need_two_calls(make_task: MakeTask) -> None:
    server = make_task().server
    count_calls(server)

    events(*(trigger_of(server, 10**9 + number, end_time=0.0) for number in range(101)))

    assert count_calls(server) == 2


@pytest.mark.parametrize("kind", ["429", "500", "503", "close-before", "close-after", "truncate"])
def test_a_bad_poll_says_nothing_about_the_run(make_task: MakeTask, kind: str) -> None:
    task = make_task("dbt deps")
    go_wrong(task.server, kind, times=2, **POLLS)

    (event,) = events(trigger_of(task.server, task.start()))

    assert event["outcome"] == "ended"


def test_a_long_silence_is_reported_with_its_reason(
    make_task: MakeTask, held_warehouse: None, caplog: pytest.LogCaptureFixture
) -> None:
    task = make_task(BUILD)
    run_id = task.start()
    go_wrong(task.server, "503", times=MANY, **POLLS)

    (event,) = events(trigger_of(task.server, run_id, max_silence=0.5))

    assert event["outcome"] == "silent"
    silence = rf"dbt Cloud said nothing about run {run_id} for \d+ s: dbt Cloud answered 503\."
    assert re.fullmatch(silence, event["message"])
    assert "dbt Cloud answered 503" in caplog.messages  # what each failed poll says
    go_well(task.server)
    assert task.runs[0]["in_progress"]


def test_a_run_that_is_gone_is_reported(dbt_cloud_connection: RunningDbtCloud) -> None:
    (event,) = events(trigger_of(dbt_cloud_connection, 10**9, max_silence=0.1))

    assert event["outcome"] == "silent"
    assert "does not list this run" in event["message"]


def test_a_connection_that_is_gone_is_reported(
    dbt_cloud_connection: RunningDbtCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_DBT_CLOUD_DEFAULT")

    (event,) = events(trigger_of(dbt_cloud_connection, 1, max_silence=0.1))

    assert event["outcome"] == "silent"
    assert "dbt_cloud_default" in event["message"]


@pytest.mark.parametrize(
    ("deadline", "outcome"), [("execution_deadline", "timeout"), ("end_time", "waited")]
)
def test_each_deadline_has_its_own_outcome(
    make_task: MakeTask, held_warehouse: None, deadline: str, outcome: str
) -> None:
    task = make_task(BUILD)

    (event,) = events(trigger_of(task.server, task.start(), **{deadline: time.time() - 1}))

    assert event["outcome"] == outcome
    assert task.runs[0]["in_progress"]


def test_a_user_who_clears_the_task_cancels_the_run(
    make_task: MakeTask, held_warehouse: None
) -> None:
    task = make_task(BUILD)
    run_id = task.start()
    go_wrong(task.server, "503", method="POST")

    asyncio.run(trigger_of(task.server, run_id).on_kill())

    assert task.runs[0]["status_humanized"] == "Cancelled"


@pytest.mark.parametrize(
    ("fault", "seconds"),
    [({"kind": "503"}, 1 + 2), ({"kind": "429", "seconds": 3}, 3 + 3)],
    ids=["growing", "as dbt Cloud asks for"],
)
def test_a_cancelling_waits_between_its_tries(
    make_task: MakeTask, held_warehouse: None, fault: dict[str, Any], seconds: int
) -> None:
    task = make_task(BUILD)
    run_id = task.start()
    go_wrong(task.server, **fault, times=2, method="POST")
    began = time.monotonic()

    asyncio.run(trigger_of(task.server, run_id).on_kill())

    assert time.monotonic() - began >= seconds
    assert task.runs[0]["status_humanized"] == "Cancelled"


def test_a_cancelling_that_airflow_interrupts_goes_on(
    make_task: MakeTask, held_warehouse: None
) -> None:
    task = make_task(BUILD)
    run_id = task.start()
    go_wrong(task.server, "503", method="POST")

    async def interrupted() -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(trigger_of(task.server, run_id).on_kill(), 0.1)
        await asyncio.gather(*CANCELLING)

    asyncio.run(interrupted())

    assert task.runs[0]["status_humanized"] == "Cancelled"


def test_waits_grow_and_follow_retry_after() -> None:
    account = Account("conn", 1)
    bad = Poll(problem="503")

    with waiting(account, 1, interval=30), waiting(account, 2, interval=5):
        assert pause(account, Poll(), failures=0) == 5
        assert pause(account, Poll(), failures=0, took=2) == 3
        assert pause(account, Poll(), failures=0, took=9) == 0.5
        assert [pause(account, bad, failures=n) for n in (1, 2, 3, 20, 5000)] == [1, 2, 4, 60, 60]
        assert pause(account, Poll(problem="429", retry_after=90), failures=1) == 90

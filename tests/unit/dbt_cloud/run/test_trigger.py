"""Tests of the trigger in Airflow's shared streams, with the local dbt Cloud."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
from airflow.triggers.shared_stream import SharedStreamManager

from include.dbt_cloud.api.async_client import CALL_SECONDS
from include.dbt_cloud.api.responses import LONGEST_WAIT
from include.dbt_cloud.run.polling import MIN_PAUSE, Account, Poll, next_poll, pause, subscribed
from include.dbt_cloud.run.trigger import CANCELLING, DbtCloudRunTrigger
from include.local_dbt_cloud.testing import LocalDbtCloud
from tests.unit.dbt_cloud.conftest import BUILD, MakeTask, go_well, go_wrong

POLLS = {"method": "GET", "path": "*/runs"}
MANY = 1_000_000
TIME_LIMIT = 60.0  # seconds; for a busy machine


def trigger_of(server: LocalDbtCloud, run_id: int, **target: Any) -> DbtCloudRunTrigger:
    default = {
        "conn_id": "dbt_cloud_default",
        "account_id": server.account_id,
        "run_id": run_id,
        "poll_interval": 0.1,
        "end_time": time.time() + 60,
        "execution_deadline": None,
        "max_silence": 60.0,
    }
    return DbtCloudRunTrigger(**default | target)


def events(*triggers: DbtCloudRunTrigger) -> list[dict[str, Any]]:
    """Return the events of triggers that run in one triggerer."""

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


def count_calls(server: LocalDbtCloud) -> int:
    """Return the number of polls since the first call, counted by harmless faults."""
    left = server.request("GET", "/faults").json()["data"]
    if not left:
        go_wrong(server, "slow", seconds=0, times=MANY, **POLLS)
        return 0
    return MANY - int(left[-1]["times"])


def test_trigger_is_restored_from_its_serialized_form(
    dbt_cloud_connection: LocalDbtCloud,
) -> None:
    trigger = trigger_of(dbt_cloud_connection, 7, execution_deadline=8.0)
    path, saved = trigger.serialize()

    assert path == "include.dbt_cloud.run.trigger.DbtCloudRunTrigger"
    assert DbtCloudRunTrigger(**saved).target == trigger.target


def test_trigger_fires_once_the_run_has_ended(make_task: MakeTask) -> None:
    task = make_task("dbt deps")
    run_id = task.start()

    (event,) = events(trigger_of(task.server, run_id))

    assert (event["run_id"], event["outcome"]) == (run_id, "ended")
    assert task.runs[0]["status_humanized"] == "Success"


def test_trigger_runs_without_a_triggerer(make_task: MakeTask) -> None:
    """``airflow dags test`` runs a trigger without a triggerer."""
    task = make_task("dbt deps")
    trigger = trigger_of(task.server, task.start())

    async def first_event() -> Any:
        return await anext(aiter(trigger.run()))

    assert asyncio.run(first_event()).payload["outcome"] == "ended"


def test_triggers_share_one_call(make_task: MakeTask) -> None:
    task = make_task("dbt deps")
    run_id = task.start()
    task.server.wait(run_id)
    count_calls(task.server)

    fired = events(*(trigger_of(task.server, run_id) for _ in range(150)))

    assert len(fired) == 150
    assert count_calls(task.server) == 1


def test_later_trigger_does_not_wait_for_the_interval_of_another(
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
        event = await asyncio.wait_for(first_event(streams, later, 1), TIME_LIMIT)
        waiting.cancel()
        return event

    assert asyncio.run(story())["run_id"] == run_id


def test_triggers_of_101_runs_make_two_calls(make_task: MakeTask) -> None:
    server = make_task().server
    count_calls(server)

    events(*(trigger_of(server, 10**9 + number, end_time=0.0) for number in range(101)))

    assert count_calls(server) == 2


@pytest.mark.parametrize("kind", ["429", "500", "503", "close-before", "close-after", "truncate"])
def test_trigger_ignores_failed_polls(make_task: MakeTask, kind: str) -> None:
    task = make_task("dbt deps")
    go_wrong(task.server, kind, times=2, **POLLS)

    (event,) = events(trigger_of(task.server, task.start()))

    assert event["outcome"] == "ended"


def test_trigger_reports_the_reason_after_max_silence(
    make_task: MakeTask, held_warehouse: None, caplog: pytest.LogCaptureFixture
) -> None:
    task = make_task(BUILD)
    run_id = task.start()
    go_wrong(task.server, "503", times=MANY, **POLLS)

    (event,) = events(trigger_of(task.server, run_id, max_silence=0.5))

    assert event["outcome"] == "silent"
    silence = rf"dbt Cloud returned no status of run {run_id} for \d+ s: dbt Cloud returned 503\."
    assert re.fullmatch(silence, event["message"])
    assert "dbt Cloud returned 503" in caplog.messages  # of each failed poll
    go_well(task.server)
    assert task.runs[0]["in_progress"]


def test_trigger_reports_a_run_that_is_not_listed(dbt_cloud_connection: LocalDbtCloud) -> None:
    (event,) = events(trigger_of(dbt_cloud_connection, 10**9, max_silence=0.1))

    assert event["outcome"] == "silent"
    assert "does not list this run" in event["message"]


def test_trigger_reports_a_missing_connection(
    dbt_cloud_connection: LocalDbtCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_DBT_CLOUD_DEFAULT")

    (event,) = events(trigger_of(dbt_cloud_connection, 1, max_silence=0.1))

    assert event["outcome"] == "silent"
    assert "dbt_cloud_default" in event["message"]


@pytest.mark.parametrize(
    ("deadline", "outcome"), [("execution_deadline", "timeout"), ("end_time", "waited")]
)
def test_trigger_reports_each_deadline_with_its_own_outcome(
    make_task: MakeTask, held_warehouse: None, deadline: str, outcome: str
) -> None:
    task = make_task(BUILD)

    (event,) = events(trigger_of(task.server, task.start(), **{deadline: time.time() - 1}))

    assert event["outcome"] == outcome
    assert task.runs[0]["in_progress"]


def test_trigger_keeps_its_limits_despite_a_long_retry_after(
    dbt_cloud_connection: LocalDbtCloud,
) -> None:
    server, soon = dbt_cloud_connection, time.time() + 2
    go_wrong(server, "429", seconds=3600, times=MANY, **POLLS)
    triggers = [
        trigger_of(server, 1, execution_deadline=soon),
        trigger_of(server, 2, end_time=soon),
        trigger_of(server, 3, max_silence=2.0),
    ]
    began = time.monotonic()

    fired = events(*triggers)

    go_well(server)
    assert [event["outcome"] for event in fired] == ["timeout", "waited", "silent"]
    assert time.monotonic() - began < LONGEST_WAIT


def test_trigger_keeps_its_limit_while_a_call_hangs(dbt_cloud_connection: LocalDbtCloud) -> None:
    go_wrong(dbt_cloud_connection, "slow", seconds=2 * CALL_SECONDS, times=MANY, **POLLS)
    began = time.monotonic()

    (event,) = events(trigger_of(dbt_cloud_connection, 1, end_time=time.time() + 2))

    go_well(dbt_cloud_connection)
    assert event["outcome"] == "waited"
    assert time.monotonic() - began < CALL_SECONDS


def test_trigger_keeps_its_limit_despite_a_long_interval(
    dbt_cloud_connection: LocalDbtCloud,
) -> None:
    soon = time.time() + 2
    began = time.monotonic()

    (event,) = events(trigger_of(dbt_cloud_connection, 10**9, poll_interval=1000, end_time=soon))

    assert event["outcome"] == "waited"
    assert time.monotonic() - began < TIME_LIMIT


def test_trigger_polls_once_more_when_its_limit_passes(
    make_task: MakeTask, held_warehouse: None
) -> None:
    """A run that finished within the interval must not count as too long."""
    task = make_task(BUILD)
    run_id = task.start()
    count_calls(task.server)
    trigger = trigger_of(task.server, run_id, poll_interval=1000, end_time=time.time() + 10)

    async def story() -> dict[str, Any]:
        waiting = asyncio.create_task(first_event(SharedStreamManager(), trigger, 0))
        async with asyncio.timeout(TIME_LIMIT):
            while not await asyncio.to_thread(count_calls, task.server):
                await asyncio.sleep(0.05)
        await asyncio.to_thread(task.server.request, "POST", f"runs/{run_id}/cancel/")
        return await waiting

    assert asyncio.run(story())["outcome"] == "ended"
    assert count_calls(task.server) == 2


@pytest.mark.parametrize("between", [Poll(problem="503"), Poll(), None])
def test_trigger_tolerates_one_failed_poll_after_a_long_interval(between: Poll | None) -> None:
    trigger = DbtCloudRunTrigger(
        conn_id="conn",
        account_id=1,
        run_id=7,
        poll_interval=600.0,
        end_time=time.time() + 60,
        execution_deadline=None,
        max_silence=0.1,
    )

    async def polls() -> AsyncIterator[Poll | None]:
        yield Poll({7: 3})
        await asyncio.sleep(0.2)
        yield between
        yield Poll({7: 10})

    async def fired() -> list[str]:
        return [event.payload["outcome"] async for event in trigger.filter_shared_stream(polls())]

    assert asyncio.run(fired()) == ["ended"]


def test_on_kill_cancels_the_run(make_task: MakeTask, held_warehouse: None) -> None:
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
def test_on_kill_waits_between_attempts_to_cancel(
    make_task: MakeTask, held_warehouse: None, fault: dict[str, Any], seconds: int
) -> None:
    task = make_task(BUILD)
    run_id = task.start()
    go_wrong(task.server, **fault, times=2, method="POST")
    began = time.monotonic()

    asyncio.run(trigger_of(task.server, run_id).on_kill())

    assert time.monotonic() - began >= seconds
    assert task.runs[0]["status_humanized"] == "Cancelled"


def test_on_kill_finishes_cancelling_after_an_interruption(
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


def test_pause_grows_and_follows_retry_after() -> None:
    account = Account("conn", 1)
    bad = Poll(problem="503")

    with subscribed(account, 1, interval=30), subscribed(account, 2, interval=5):
        assert pause(account, Poll(), failures=0) == 5
        assert pause(account, Poll(), failures=0, took=2) == 3
        assert pause(account, Poll(), failures=0, took=9) == 0.5
        assert [pause(account, bad, failures=n) for n in (1, 2, 3, 20, 5000)] == [1, 2, 4, 60, 60]
        assert pause(account, Poll(problem="429", retry_after=30), failures=1) == 30
        assert pause(account, Poll(problem="429", retry_after=3600), failures=1) == 60


def test_next_poll_is_brought_forward_to_a_deadline() -> None:
    account, good, bad = Account("conn", 1), Poll(), Poll(problem="503")
    now = time.monotonic()

    with (
        subscribed(account, 1, interval=600, deadline=now + 300),
        subscribed(account, 2, interval=600, deadline=now + 0.2),
        subscribed(account, 3, interval=600, deadline=now - 5),  # its trigger is ending
    ):
        assert next_poll(account, good, 0, ended=now) == pytest.approx(now + MIN_PAUSE)
        assert next_poll(account, good, 0, ended=now + 1) == pytest.approx(now + 300)
        assert next_poll(account, good, 0, ended=now + 301) == pytest.approx(now + 901)
        assert next_poll(account, bad, 9, ended=now + 299) == pytest.approx(now + 359)

"""Tests of one event per run, from repeated reports."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import airflow.models.trigger
import pytest
from airflow.assets.manager import AssetManager
from airflow.models.asset import AssetDagRunQueue, AssetEvent, AssetModel, AssetWatcherModel
from airflow.models.dag import DagModel
from airflow.models.trigger import Trigger
from airflow.sdk import Asset
from airflow.triggers.base import TriggerEvent
from airflow.utils.session import create_session
from sqlalchemy import delete, func, select, text, update
from sqlalchemy.exc import DBAPIError

from include.dbt_cloud.events import FinishedRun, account_runs, job_runs
from include.dbt_cloud.events.deduplication import OncePerRunAssetManager
from include.dbt_cloud.events.finished_run import EXTRA
from include.dbt_cloud.events.receiver import make_events
from plugins import receive_dbt_cloud_webhooks
from tests.unit.dbt_cloud.events.conftest import AddAssets, runs_in_events
from tests.unit.dbt_cloud.events.test_assets import RUN

REFUSE_ON_SQLITE = [
    "create trigger refuse before update on asset begin select raise(abort, 'locked by this test');"
    " end"
]
REFUSE_ON_POSTGRESQL = [
    "create or replace function refuse() returns trigger language plpgsql as"
    " $$ begin raise 'locked by this test'; end $$",
    "create trigger refuse before update on asset for each row execute function refuse()",
]
ASSET = job_runs(RUN.job_id)
RUN_NOW = replace(RUN, finished_at=datetime.now(UTC).isoformat(timespec="seconds"))


def register(extra: dict[str, Any]) -> None:
    with create_session() as session:
        OncePerRunAssetManager.register_asset_change(asset=ASSET, extra=extra, session=session)


def by_watcher(run: FinishedRun) -> dict[str, Any]:
    """Return the extra of a trigger's event in Airflow."""
    return {"from_trigger": True, "payload": run.as_extra()}


def test_concurrent_reports_of_one_run_make_one_event(add_assets: AddAssets) -> None:
    add_assets(ASSET)
    extras = [RUN_NOW.as_extra(), by_watcher(RUN_NOW)] * 25

    with ThreadPoolExecutor(10) as threads:
        list(threads.map(register, extras))

    assert runs_in_events(ASSET) == [RUN_NOW]


def test_each_run_has_one_event_per_asset(add_assets: AddAssets) -> None:
    other = job_runs(RUN.job_id, "dbt_cloud_eu")
    add_assets(ASSET, other)
    later = replace(RUN_NOW, run_id=70403103936332)

    for run in (RUN_NOW, later, RUN_NOW, later):
        register(run.as_extra())
    with create_session() as session:
        OncePerRunAssetManager.register_asset_change(
            asset=other, extra=RUN_NOW.as_extra(), session=session
        )

    assert runs_in_events(ASSET) == [RUN_NOW, later]
    assert runs_in_events(other) == [RUN_NOW]


def test_runs_of_two_accounts_with_one_id_have_an_event_each(add_assets: AddAssets) -> None:
    """The asset's connection was changed to another account."""
    add_assets(ASSET)
    elsewhere = replace(RUN_NOW, host="eu.dbt.com")
    in_other_account = replace(RUN_NOW, account_id=9)

    for run in (RUN_NOW, elsewhere, in_other_account) * 2:
        register(run.as_extra())

    assert runs_in_events(ASSET) == [RUN_NOW, elsewhere, in_other_account]


def test_run_with_an_event_of_an_earlier_version_has_no_second_event(
    add_assets: AddAssets,
) -> None:
    add_assets(ASSET)
    earlier = RUN_NOW.as_extra()
    del earlier[EXTRA]["host"], earlier[EXTRA]["account_id"]
    with create_session() as session:
        asset = session.scalars(select(AssetModel)).one()
        AssetManager.register_asset_change(asset=asset, extra=earlier, session=session)

    register(RUN_NOW.as_extra())

    assert len(runs_in_events(ASSET)) == 1


def assert_queued_for_all_events(asset: Asset) -> None:
    times = (
        select(func.max(AssetDagRunQueue.created_at), func.max(AssetEvent.timestamp))
        .join(AssetEvent, AssetEvent.asset_id == AssetDagRunQueue.asset_id)
        .join(AssetModel, AssetModel.id == AssetDagRunQueue.asset_id)
        .where(AssetModel.uri == asset.uri)
    )
    with create_session() as session:
        queued, newest = session.execute(times).one()
    assert queued
    assert newest
    assert queued >= newest


def test_dag_is_queued_for_all_events_so_far(schedule_dag: AddAssets) -> None:
    """Airflow alone queues it for the first one only."""
    schedule_dag(ASSET)

    for run_id in range(3):
        register(replace(RUN_NOW, run_id=run_id).as_extra())

        assert_queued_for_all_events(ASSET)


def test_webhooks_queue_the_dag_for_the_events_of_two_assets(schedule_dag: AddAssets) -> None:
    schedule_dag(ASSET, account_runs())

    for run_id in range(2):
        make_events(replace(RUN_NOW, run_id=run_id), ["dbt_cloud_default"])

    assert_queued_for_all_events(ASSET)
    assert_queued_for_all_events(account_runs())


def test_event_queues_the_dag_again_if_the_scheduler_has_just_taken_the_earlier_ones(
    schedule_dag: AddAssets,
) -> None:
    schedule_dag(ASSET)
    register(RUN_NOW.as_extra())

    with ThreadPoolExecutor(1) as threads:
        with create_session() as scheduler:
            scheduler.scalars(select(AssetDagRunQueue).with_for_update(skip_locked=True)).one()
            scheduler.execute(update(DagModel).values(is_stale=False))  # locks SQLite
            later = threads.submit(register, replace(RUN_NOW, run_id=70403103936332).as_extra())
            with pytest.raises(TimeoutError):
                later.result(timeout=1)
            scheduler.execute(delete(AssetDagRunQueue))
        later.result()

    assert_queued_for_all_events(ASSET)


NOT_RUNS: list[Any] = [
    None,
    "text",
    7,
    [RUN_NOW.as_extra()],
    {EXTRA: None},
    {EXTRA: "text"},
    {EXTRA: [7]},
    {EXTRA: {}},
    {EXTRA: {"run_id": RUN_NOW.run_id}},
    {EXTRA: {**RUN_NOW.as_extra()[EXTRA], "run_id": "seven"}},
    {EXTRA: {**RUN_NOW.as_extra()[EXTRA], "run_id": 10**400}},
    {EXTRA: {**RUN_NOW.as_extra()[EXTRA], "finished_at": "0000-01-01T00:00:00Z"}},
    {EXTRA: {**RUN_NOW.as_extra()[EXTRA], "finished_at": 7}},
    {"note": "NUL \0"},
    {"note": "half of a pair \ud83d"},
    {"NUL \0": {"half of a pair \udc00": []}},
]
ODD_EXTRAS: list[dict[str, Any]] = [
    *({"from_trigger": True, "payload": payload} for payload in NOT_RUNS),
    *(payload for payload in NOT_RUNS if isinstance(payload, dict)),
    {"from_trigger": True},
]


@pytest.mark.parametrize("extra", ODD_EXTRAS, ids=lambda extra: ascii(extra)[:60])
def test_event_of_a_run_is_stored_once_after_any_other_event(
    add_assets: AddAssets, extra: dict[str, Any]
) -> None:
    """PostgreSQL stores JSON with such text, but cannot read parts of it."""
    add_assets(ASSET)
    with create_session() as session:
        asset = session.scalars(select(AssetModel)).one()
        AssetManager.register_asset_change(asset=asset, extra=extra, session=session)

    for _ in range(2):
        register(by_watcher(RUN_NOW))
        register(RUN_NOW.as_extra())

    assert runs_in_events(ASSET).count(RUN_NOW) == 1
    assert len(runs_in_events(ASSET)) == 2


@pytest.mark.parametrize("extra", ODD_EXTRAS, ids=lambda extra: ascii(extra)[:60])
def test_unexpected_event_is_stored_unchanged(add_assets: AddAssets, extra: dict[str, Any]) -> None:
    add_assets(ASSET)

    for _ in range(2):
        register(extra)

    with create_session() as session:
        assert session.scalars(select(AssetEvent.extra)).all() == [extra, extra]


@pytest.fixture
def trigger_id(add_assets: AddAssets, monkeypatch: pytest.MonkeyPatch) -> int:
    """Return the id of the asset's trigger, in a process with the triggerer's plugin."""
    add_assets(ASSET)
    monkeypatch.setattr(airflow.models.trigger, "AssetManager", AssetManager)
    monkeypatch.setitem(sys.modules, receive_dbt_cloud_webhooks.TRIGGERER, airflow.models.trigger)
    receive_dbt_cloud_webhooks.ReceiveDbtCloudWebhooks.on_load()
    with create_session() as session:
        trigger = Trigger(classpath="a.Watcher", kwargs={})
        asset = session.scalars(select(AssetModel)).one()
        asset.watchers.append(AssetWatcherModel(name="watcher", trigger=trigger))
        session.flush()
        return trigger.id


def fire(trigger_id: int, payload: Any) -> None:
    """Submit an event as the triggerer does, which would end on an exception."""
    Trigger.submit_event(trigger_id, TriggerEvent(payload))  # type: ignore[no-untyped-call]


def test_plugin_deduplicates_events_of_a_trigger(trigger_id: int) -> None:
    """A failure means that Airflow stores triggers' events in another place."""
    for _ in range(2):
        fire(trigger_id, RUN_NOW.as_extra())

    assert runs_in_events(ASSET) == [RUN_NOW]


@pytest.fixture
def no_lock() -> Iterator[None]:
    """Make the database refuse locks of an asset's row."""
    with create_session() as session:
        on_sqlite = session.get_bind().dialect.name == "sqlite"
        for statement in REFUSE_ON_SQLITE if on_sqlite else REFUSE_ON_POSTGRESQL:
            session.execute(text(statement))
    yield
    with create_session() as session:
        session.execute(text("drop trigger refuse" + ("" if on_sqlite else " on asset")))
        engine = session.get_bind().engine
    engine.dispose()  # pooled SQLite connections keep the trigger


def test_trigger_event_is_stored_without_deduplication_on_a_database_error(
    trigger_id: int, no_lock: None, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        fire(trigger_id, RUN_NOW.as_extra())

    assert runs_in_events(ASSET) == [RUN_NOW, RUN_NOW]
    assert "is stored without deduplication" in caplog.text
    assert "locked by this test" in caplog.text


def test_webhook_event_is_not_stored_on_a_database_error(
    add_assets: AddAssets, no_lock: None
) -> None:
    """dbt Cloud sends it again, so no duplicate is needed."""
    add_assets(ASSET)

    with pytest.raises(DBAPIError, match="locked by this test"):
        make_events(RUN_NOW, ["dbt_cloud_default"])

    assert runs_in_events(ASSET) == []

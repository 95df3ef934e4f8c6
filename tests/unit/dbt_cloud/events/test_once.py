"""A run that is told of again and again is one event."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import airflow.models.trigger
import pytest
from airflow.assets.manager import AssetManager
from airflow.models.asset import AssetEvent, AssetModel, AssetWatcherModel
from airflow.models.trigger import Trigger
from airflow.triggers.base import TriggerEvent
from airflow.utils.session import create_session
from sqlalchemy import select

from include.dbt_cloud.events import FinishedRun, job_runs
from include.dbt_cloud.events.once import OncePerRunAssetManager
from plugins import receive_dbt_cloud_webhooks
from tests.unit.dbt_cloud.events.conftest import AddAssets, told
from tests.unit.dbt_cloud.events.test_assets import RUN

ASSET = job_runs(RUN.job_id)
RUN_NOW = replace(RUN, finished_at=datetime.now(UTC).isoformat(timespec="seconds"))


def register(extra: dict[str, Any]) -> None:
    with create_session() as session:
        OncePerRunAssetManager.register_asset_change(asset=ASSET, extra=extra, session=session)


def by_watcher(run: FinishedRun) -> dict[str, Any]:
    """As Airflow tells what a trigger has seen."""
    return {"from_trigger": True, "payload": run.as_extra()}


def test_many_at_once_make_one_event(add_assets: AddAssets) -> None:
    add_assets(ASSET)
    extras = [RUN_NOW.as_extra(), by_watcher(RUN_NOW)] * 25

    with ThreadPoolExecutor(10) as threads:
        list(threads.map(register, extras))

    assert told(ASSET) == [RUN_NOW]


def test_each_run_and_each_asset_has_its_own(add_assets: AddAssets) -> None:
    other = job_runs(RUN.job_id, "dbt_cloud_eu")
    add_assets(ASSET, other)
    later = replace(RUN_NOW, run_id=70403103936332)

    for run in (RUN_NOW, later, RUN_NOW, later):
        register(run.as_extra())
    with create_session() as session:
        OncePerRunAssetManager.register_asset_change(
            asset=other, extra=RUN_NOW.as_extra(), session=session
        )

    assert told(ASSET) == [RUN_NOW, later]
    assert told(other) == [RUN_NOW]


def test_events_of_other_triggers_stay_as_they_are(add_assets: AddAssets) -> None:
    add_assets(ASSET)
    extra = {"from_trigger": True, "payload": "a message"}

    register(extra)
    register(extra)

    with create_session() as session:
        assert session.scalars(select(AssetEvent.extra)).all() == [extra, extra]


def test_the_plugin_brings_a_trigger_s_events_here(
    add_assets: AddAssets, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If this fails, Airflow has another way to a trigger's events than the one it replaces."""
    add_assets(ASSET)
    monkeypatch.setattr(airflow.models.trigger, "AssetManager", AssetManager)
    monkeypatch.setitem(sys.modules, receive_dbt_cloud_webhooks.TRIGGERER, airflow.models.trigger)
    receive_dbt_cloud_webhooks.ReceiveDbtCloudWebhooks.on_load()
    with create_session() as session:
        trigger = Trigger(classpath="a.Watcher", kwargs={})
        asset = session.scalars(select(AssetModel)).one()
        asset.watchers.append(AssetWatcherModel(name="watcher", trigger=trigger))
        session.flush()
        trigger_id = trigger.id

    event = TriggerEvent(RUN_NOW.as_extra())  # type: ignore[no-untyped-call]  # Airflow's has none
    for _ in range(2):
        Trigger.submit_event(trigger_id, event)

    assert told(ASSET) == [RUN_NOW]

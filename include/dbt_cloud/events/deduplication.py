"""Store one asset event per finished run, from any number of webhooks and watchers.

Airflow does not deduplicate events. This module locks the asset's row and searches its events
before it stores another one, in the same transaction.

In Airflow 3.3 a Dag run takes an asset's events up to the one that queued the Dag, and later ones
wait for another event (apache/airflow#56050). This module therefore advances the queue's time with
each event.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, ScalarResult, Text, and_, cast, select, update
from sqlalchemy.orm import Session

from ..airflow.server import AssetDagRunQueue, AssetEvent, AssetManager, AssetModel
from ..api.runs import DATABASE_CLOCK_SKEW
from .finished_run import FinishedRun

MAX_LOOK_BACK = timedelta(days=7)  # for a run with a future end; events are kept as long
log = logging.getLogger(__name__)


class OncePerRunAssetManager(AssetManager):
    """Airflow's asset manager, without second events of the same run.

    An exception here would end the triggerer, and the next one too. After any error the event is
    therefore stored as Airflow does, possibly for the second time.
    """

    @classmethod
    def register_asset_change(
        cls, *, asset: Any, extra: dict[str, Any] | None = None, session: Session, **kwargs: Any
    ) -> AssetEvent | None:
        try:
            if run := run_of(extra):
                extra = run.as_extra()
                with session.begin_nested():  # a failed statement does not end the transaction
                    if has_event(asset, run, session):
                        return None
                    return register(asset, run, session, **kwargs)
        except Exception:
            log.exception("An event of %s is stored without deduplication.", asset)
        return super().register_asset_change(asset=asset, extra=extra, session=session, **kwargs)


def register(asset: Any, run: FinishedRun, session: Session, **kwargs: Any) -> AssetEvent | None:
    """Store the event of a run, and queue the asset's Dags for all its events so far."""
    extra = run.as_extra()
    event = AssetManager.register_asset_change(asset=asset, extra=extra, session=session, **kwargs)
    queue = update(AssetDagRunQueue).where(is_queue_of(asset))
    session.execute(queue.values(created_at=datetime.now(UTC)))
    return event


def run_of(extra: Any) -> FinishedRun | None:
    """Return the run of an event's extra, which Airflow wraps for triggers."""
    is_wrapped = isinstance(extra, dict) and "from_trigger" in extra
    return FinishedRun.of_extra(extra.get("payload") if is_wrapped else extra)


def has_event(asset: Any, run: FinishedRun, session: Session) -> bool:
    """Return whether the asset has an event of the run; lock it and its queue until the commit."""
    lock(asset, session)
    extras: ScalarResult[Any] = session.scalars(
        select(AssetEvent.extra)
        .join(AssetModel, AssetModel.id == AssetEvent.asset_id)
        .where(is_asset(asset), AssetEvent.timestamp >= earliest(run))
        # As text, since PostgreSQL cannot read parts of JSON that contains NUL.
        .where(cast(AssetEvent.extra, Text).contains(str(run.run_id)))
    )
    found = (run_of(extra) for extra in extras)
    return any(other is not None and other.is_same(run) for other in found)


def lock(asset: Any, session: Session) -> None:
    # This update changes nothing, but locks the row, or the database on SQLite.
    session.execute(update(AssetModel).where(is_asset(asset)).values(name=AssetModel.name))
    # Waits for a scheduler that is about to delete the queue's rows, so that the event adds them.
    queue = select(AssetDagRunQueue.asset_id).where(is_queue_of(asset))
    session.execute(queue.with_for_update())


def is_asset(asset: Any) -> ColumnElement[bool]:
    return and_(AssetModel.name == asset.name, AssetModel.uri == asset.uri)


def is_queue_of(asset: Any) -> ColumnElement[bool]:
    return AssetDagRunQueue.asset_id.in_(select(AssetModel.id).where(is_asset(asset)))


def earliest(run: FinishedRun) -> datetime:
    """Return the earliest time at which an event of the run may have been stored."""
    finished, now = datetime.fromisoformat(run.finished_at), datetime.now(UTC)
    return (finished if finished <= now else now - MAX_LOOK_BACK) - DATABASE_CLOCK_SKEW

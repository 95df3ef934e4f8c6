"""One asset event per finished run, whether a webhook tells of it, a watcher, both, or one twice.

Airflow keeps no two events from telling of one thing. Here the asset's row is locked and its events
are looked through before another is made, in the transaction that makes it.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ScalarResult, Text, cast, select, update
from sqlalchemy.orm import Session

from ..airflow.server import AssetEvent, AssetManager, AssetModel
from .finished_run import FinishedRun

CLOCKS_DIFFER = timedelta(hours=1)  # at most, dbt Cloud's and the database's
LOOK_BACK = timedelta(days=7)  # for a run that ends in the future; events are kept as long
log = logging.getLogger(__name__)


class OncePerRunAssetManager(AssetManager):
    """Airflow's, but an event that tells of a run which the asset has an event of is left out.

    The triggerer ends if this raises, and the next one too: whatever goes wrong here, the event is
    stored as Airflow stores it, which may be for the second time.
    """

    @classmethod
    def register_asset_change(
        cls, *, asset: Any, extra: dict[str, Any] | None = None, session: Session, **kwargs: Any
    ) -> AssetEvent | None:
        try:
            if run := run_of(extra):
                extra = run.as_extra()
                with session.begin_nested():  # a statement that fails ends no transaction
                    return register_once(asset, run, session, **kwargs)
        except Exception:
            log.exception("An event of %s is stored without a look for its like.", asset)
        return super().register_asset_change(asset=asset, extra=extra, session=session, **kwargs)


def register_once(
    asset: Any, run: FinishedRun, session: Session, **kwargs: Any
) -> AssetEvent | None:
    """Store the event of a run; return None if the asset has one of it."""
    if is_told(asset, run, session):
        return None
    extra = run.as_extra()
    return AssetManager.register_asset_change(asset=asset, extra=extra, session=session, **kwargs)


def run_of(extra: Any) -> FinishedRun | None:
    """Airflow wraps what a trigger tells."""
    is_wrapped = isinstance(extra, dict) and "from_trigger" in extra
    return FinishedRun.of_extra(extra.get("payload") if is_wrapped else extra)


def is_told(asset: Any, run: FinishedRun, session: Session) -> bool:
    """Whether the asset has an event of the run; others wait with theirs until the commit."""
    this_asset = (AssetModel.name == asset.name, AssetModel.uri == asset.uri)
    # An update that changes nothing: it locks the row, on SQLite the database.
    session.execute(update(AssetModel).where(*this_asset).values(name=AssetModel.name))
    extras: ScalarResult[Any] = session.scalars(
        select(AssetEvent.extra)
        .join(AssetModel, AssetModel.id == AssetEvent.asset_id)
        .where(*this_asset, AssetEvent.timestamp >= earliest(run))
        # PostgreSQL reads no part of a JSON with NUL in it, whoever wrote that. So as text.
        .where(cast(AssetEvent.extra, Text).contains(str(run.run_id)))
    )
    found = (run_of(extra) for extra in extras)
    return any(other is not None and other.run_id == run.run_id for other in found)


def earliest(run: FinishedRun) -> datetime:
    """When an event of the run may have been stored at the earliest."""
    finished, now = datetime.fromisoformat(run.finished_at), datetime.now(UTC)
    return (finished if finished <= now else now - LOOK_BACK) - CLOCKS_DIFFER

"""One asset event per finished run, whether a webhook tells of it, a watcher, both, or one twice.

Airflow keeps no two events from telling of one thing. Here the asset's row is locked and its events
are looked through before another is made, in the transaction that makes it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import String, cast, select, update
from sqlalchemy.orm import Session

from ..airflow_server import AssetEvent, AssetManager, AssetModel
from .finished_run import EXTRA, FinishedRun

CLOCKS_DIFFER = timedelta(hours=1)  # at most, dbt Cloud's and the database's


class OncePerRunAssetManager(AssetManager):
    """Airflow's, but an event that tells of a run which the asset has an event of is left out."""

    @classmethod
    def register_asset_change(
        cls, *, asset: Any, extra: dict[str, Any] | None = None, session: Session, **kwargs: Any
    ) -> AssetEvent | None:
        run = run_of(extra or {})
        if run:
            if is_told(asset, run, session):
                return None
            extra = run.as_extra()
        return super().register_asset_change(asset=asset, extra=extra, session=session, **kwargs)


def run_of(extra: dict[str, Any]) -> FinishedRun | None:
    """Airflow wraps what a trigger tells."""
    told = extra.get("payload") if "from_trigger" in extra else extra
    return FinishedRun.of_extra(told) if isinstance(told, dict) else None


def is_told(asset: Any, run: FinishedRun, session: Session) -> bool:
    """Whether the asset has an event of the run; others wait with theirs until the commit."""
    this_asset = (AssetModel.name == asset.name, AssetModel.uri == asset.uri)
    # An update that changes nothing: it locks the row, on SQLite the database.
    session.execute(update(AssetModel).where(*this_asset).values(name=AssetModel.name))
    earliest = datetime.fromisoformat(run.finished_at) - CLOCKS_DIFFER
    run_id = cast(AssetEvent.extra[EXTRA, "run_id"].as_string(), String)  # a number on SQLite
    told = session.scalar(
        select(AssetEvent.id)
        .join(AssetModel, AssetModel.id == AssetEvent.asset_id)
        .where(*this_asset, AssetEvent.timestamp >= earliest)
        .where(run_id == str(run.run_id))
        .limit(1)
    )
    return told is not None

"""One asset event per finished run, whether a webhook tells of it, a watcher, both, or one twice.

Airflow keeps no two events from telling of one thing. Here the asset's row is locked and its events
are read before another is made, in the transaction that makes it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ScalarResult, select, update
from sqlalchemy.orm import Session

from ..airflow_server import AssetEvent, AssetManager, AssetModel
from .finished_run import FinishedRun

CLOCKS_DIFFER = timedelta(hours=1)  # at most, dbt Cloud's and the database's


class OncePerRunAssetManager(AssetManager):
    """Airflow's, but an event that tells of a run which the asset has an event of is left out."""

    @classmethod
    def register_asset_change(
        cls, *, asset: Any, extra: dict[str, Any] | None = None, session: Session, **kwargs: Any
    ) -> AssetEvent | None:
        extra = (extra or {}).get("payload") or extra or {}  # a trigger's is wrapped by Airflow
        run = FinishedRun.of_extra(extra) if isinstance(extra, dict) else None
        if run and cls._is_told(asset, run, session):
            return None
        return super().register_asset_change(asset=asset, extra=extra, session=session, **kwargs)

    @staticmethod
    def _is_told(asset: Any, run: FinishedRun, session: Session) -> bool:
        this_asset = (AssetModel.name == asset.name, AssetModel.uri == asset.uri)
        # An update that changes nothing: it locks the row, on SQLite the database.
        session.execute(update(AssetModel).where(*this_asset).values(name=AssetModel.name))
        earliest = datetime.fromisoformat(run.finished_at) - CLOCKS_DIFFER
        extras: ScalarResult[dict[str, Any]] = session.scalars(
            select(AssetEvent.extra)
            .join(AssetModel, AssetModel.id == AssetEvent.asset_id)
            .where(*this_asset, AssetEvent.timestamp >= earliest)
        )
        told = (FinishedRun.of_extra(extra) for extra in extras)
        return run.run_id in {one.run_id for one in told if one}

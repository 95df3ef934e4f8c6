"""Airflow's tables on SQLite and PostgreSQL, which read JSON differently."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from airflow import settings
from airflow.models import import_all_models
from airflow.models.asset import (
    AssetActive,
    AssetDagRunQueue,
    AssetEvent,
    AssetModel,
    AssetWatcherModel,
    DagScheduleAssetReference,
)
from airflow.models.base import Base
from airflow.models.connection import Connection
from airflow.models.dag import DagModel
from airflow.models.dagbundle import DagBundleModel
from airflow.models.trigger import Trigger
from airflow.sdk import Asset
from airflow.utils.session import create_session
from sqlalchemy import ScalarResult, delete, select

from include.dbt_cloud.events import FinishedRun
from tests.embedded_postgres import embedded_postgres

AddAssets = Callable[..., None]


@pytest.fixture(scope="package", params=["sqlite", "postgresql"])
def database_url(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Use a database of this process instead of Airflow's."""
    home = tmp_path_factory.mktemp("airflow")
    if request.param == "sqlite":
        yield f"sqlite:///{home / 'airflow.db'}"
        return
    with embedded_postgres(home) as url:
        yield url


@pytest.fixture(scope="package")
def airflow_s_tables(database_url: str) -> Iterator[None]:
    import_all_models()  # type: ignore[no-untyped-call]  # Airflow's has no types
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settings, "SQL_ALCHEMY_CONN", database_url)
        settings.dispose_orm()
        settings.configure_orm()  # type: ignore[no-untyped-call]
        Base.metadata.create_all(settings.engine)
        yield
        settings.dispose_orm()
    settings.configure_orm()  # type: ignore[no-untyped-call]


@pytest.fixture
def add_assets(airflow_s_tables: None) -> Iterator[AddAssets]:
    """Add assets as Airflow does for a Dag file."""

    def add(*assets: Asset) -> None:
        with create_session() as session:
            for asset in assets:
                session.add(AssetModel(name=asset.name, uri=asset.uri, group="asset"))
                session.add(AssetActive(name=asset.name, uri=asset.uri))

    yield add
    with create_session() as session:
        tables = (AssetEvent, AssetActive, AssetWatcherModel, AssetModel, Trigger, Connection)
        for table in tables:
            session.execute(delete(table))


@pytest.fixture
def schedule_dag(add_assets: AddAssets) -> Iterator[AddAssets]:
    """Add assets, and a Dag that is scheduled by them and switched on."""

    def schedule(*assets: Asset) -> None:
        add_assets(*assets)
        with create_session() as session:
            session.add(DagBundleModel(name="dags"))
            session.flush()
            dag = DagModel(dag_id="react", bundle_name="dags", is_paused=False)  # type: ignore[no-untyped-call]
            session.add(dag)
            for asset in session.scalars(select(AssetModel)):
                session.add(DagScheduleAssetReference(asset=asset, dag=dag))

    yield schedule
    with create_session() as session:
        for table in (AssetDagRunQueue, DagScheduleAssetReference, DagModel, DagBundleModel):
            session.execute(delete(table))


def runs_in_events(asset: Asset) -> list[FinishedRun | None]:
    """Return the runs in the events of an asset, oldest first."""
    with create_session() as session:
        extras: ScalarResult[dict[str, Any]] = session.scalars(
            select(AssetEvent.extra)
            .join(AssetModel, AssetModel.id == AssetEvent.asset_id)
            .where(AssetModel.uri == asset.uri)
            .order_by(AssetEvent.id)
        )
        return [FinishedRun.of_extra(extra) for extra in extras]

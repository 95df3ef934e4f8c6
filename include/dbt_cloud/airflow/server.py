"""Imports of Airflow's server side, which has access to its database.

Only plugins use these. Dags and tasks have no database access.
"""

from __future__ import annotations

from airflow.assets.manager import AssetManager
from airflow.models.asset import AssetDagRunQueue, AssetEvent, AssetModel
from airflow.models.connection import Connection
from airflow.models.xcom import XComModel
from airflow.utils.session import create_session

__all__ = [
    "AssetDagRunQueue",
    "AssetEvent",
    "AssetManager",
    "AssetModel",
    "Connection",
    "XComModel",
    "create_session",
]

"""What this folder takes from Airflow's server side, which has the database at hand.

Only plugins import what imports this: a Dag or a task never does, and could not use it.
"""

from __future__ import annotations

from airflow.assets.manager import AssetManager
from airflow.models.asset import AssetEvent, AssetModel
from airflow.models.connection import Connection
from airflow.models.xcom import XComModel
from airflow.utils.session import create_session

__all__ = [
    "AssetEvent",
    "AssetManager",
    "AssetModel",
    "Connection",
    "XComModel",
    "create_session",
]

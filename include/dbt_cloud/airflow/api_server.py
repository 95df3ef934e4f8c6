"""The page's imports from Airflow's API server: users and their permissions.

These imports take seconds, so they are separate from ``server``, which the triggerer imports.
"""

from __future__ import annotations

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag

__all__ = ["GetUserDep", "get_auth_manager", "requires_access_dag"]

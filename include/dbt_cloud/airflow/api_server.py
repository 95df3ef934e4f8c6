"""What the page takes from Airflow's API server, where alone it runs: who is there, and may what.

Apart from ``server``, since these imports take seconds, and the triggerer imports that one.
"""

from __future__ import annotations

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag

__all__ = ["GetUserDep", "get_auth_manager", "requires_access_dag"]

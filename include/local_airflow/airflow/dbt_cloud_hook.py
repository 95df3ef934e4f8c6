"""The provider's hook, for calls outside a task."""

from __future__ import annotations

from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudHook
from airflow.sdk import Connection


class ConnectedHook(DbtCloudHook):
    """The provider's hook with a given connection, and the task's own account.

    In a task, connection lookups use the task's channel to Airflow, which is not thread-safe.
    """

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection.conn_id, timeout_seconds=10)
        self._looked_up = connection

    # A class method in the base class; calls on an instance are the same.
    def get_connection(self, conn_id: str) -> Connection:  # type: ignore[override]
        return self._looked_up

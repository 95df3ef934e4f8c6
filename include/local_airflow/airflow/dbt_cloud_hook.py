"""The provider's hook, for calls outside a task."""

from __future__ import annotations

from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudHook
from airflow.sdk import Connection


class ConnectedHook(DbtCloudHook):
    """The provider's hook with its connection looked up beforehand, and the task's own account.

    Inside a task every look-up goes over the task's own channel to Airflow, which is not made for
    a second thread.
    """

    def __init__(self, connection: Connection, account_id: int | None = None) -> None:
        super().__init__(connection.conn_id, timeout_seconds=10)
        self._looked_up = connection
        self.account_id = account_id  # None: the connection's

    # The base class has a class method here; on an instance both are called alike.
    def get_connection(self, conn_id: str) -> Connection:  # type: ignore[override]
        return self._looked_up

"""The shop's warehouse, for Dags that run dbt Cloud jobs on it.

Jobs of other accounts use another warehouse. A Dag would then load rows that no job reads, and read
models that no job built.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import duckdb
from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.sdk import BaseHook

from include.shop.warehouse import open_warehouse

LOCAL_HOSTS = ("localhost", "127.0.0.1", "local-dbt-cloud")  # the last one in Docker
LOCAL_ACCOUNT = "16173"


@contextmanager
def open_local_warehouse(conn_id: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield a connection to the warehouse that the dbt Cloud of ``conn_id`` builds.

    Raises:
        AirflowFailException: The connection is for another account.
        TimeoutError: Another process holds the file.
    """
    connection = BaseHook.get_connection(conn_id)
    host, login = connection.host or "", connection.login or ""
    if host.partition(":")[0] not in LOCAL_HOSTS or login != LOCAL_ACCOUNT:
        raise AirflowFailException(
            f"This task uses the local DuckDB warehouse, but {conn_id} is for {host}, account "
            f"{login}, which builds another one: replace open_local_warehouse in this Dag with a "
            "connection to your warehouse."
        )
    with open_warehouse() as warehouse:
        yield warehouse

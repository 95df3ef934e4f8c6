"""The assets whose events are dbt Cloud's finished runs, each with its watcher."""

from __future__ import annotations

from urllib.parse import urlencode

from airflow.sdk import Asset, AssetWatcher

from .wanted import Wanted, prefix_of
from .watcher import DbtCloudRunsTrigger

CONN_ID = "dbt_cloud_default"
POLL_INTERVAL = 30.0  # seconds


def job_runs(
    job_id: int, conn_id: str = CONN_ID, poll_interval: float | None = POLL_INTERVAL
) -> Asset:
    """The finished runs of one job: one event each, whoever started them.

    Args:
        job_id: The number behind ``/jobs/`` in the job's address.
        conn_id: Airflow's connection to dbt Cloud; its login is the account id.
        poll_interval: Seconds between two looks at dbt Cloud, the same in all Dags that name this
            asset. All assets of a connection share one poll, with the shortest interval of theirs.
            None where dbt Cloud's webhooks reach Airflow, and nobody is to ask besides.
    """
    return _asset(f"{prefix_of(conn_id)}jobs/{job_id}", poll_interval)


def account_runs(
    conn_id: str = CONN_ID,
    project_id: int | None = None,
    environment_id: int | None = None,
    job_name: str | None = None,
    poll_interval: float | None = POLL_INTERVAL,
) -> Asset:
    """The finished runs of all jobs of the account, or of those that fit: one event each.

    For the arguments see ``job_runs``.
    """
    wanted = {"environment_id": environment_id, "job_name": job_name, "project_id": project_id}
    query = urlencode({name: value for name, value in wanted.items() if value is not None})
    return _asset(f"{prefix_of(conn_id)}runs" + (f"?{query}" if query else ""), poll_interval)


def _asset(uri: str, poll_interval: float | None) -> Asset:
    Wanted.of_uri(uri)  # raises ValueError here, and not in the triggerer
    if poll_interval is None:
        return Asset(uri)
    if not poll_interval > 0:
        raise ValueError(f"poll_interval is {poll_interval}: give seconds, or None for no watcher.")
    trigger = DbtCloudRunsTrigger(Asset(uri).uri, float(poll_interval))
    return Asset(uri, watchers=[AssetWatcher(name="finished_runs", trigger=trigger)])

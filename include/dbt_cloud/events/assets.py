"""Assets with an event for each finished dbt Cloud run, and their watchers."""

from __future__ import annotations

from urllib.parse import urlencode

from airflow.sdk import Asset, AssetWatcher

from .run_filter import RunFilter, prefix_of
from .watcher import DbtCloudRunsTrigger

CONN_ID = "dbt_cloud_default"
POLL_INTERVAL = 30.0  # seconds


def job_runs(
    job_id: int, conn_id: str = CONN_ID, poll_interval: float | None = POLL_INTERVAL
) -> Asset:
    """Return the asset with an event for each finished run of one job.

    Args:
        job_id: The number after ``/jobs/`` in the job's address.
        conn_id: Airflow's connection to dbt Cloud; its login is the account id.
        poll_interval: Seconds between two polls, the same in all Dags that use this asset. All
            assets of a connection share one poll, with their shortest interval. None disables
            polling, if dbt Cloud's webhooks reach Airflow.
    """
    return _asset(f"{prefix_of(conn_id)}jobs/{job_id}", poll_interval)


def account_runs(
    conn_id: str = CONN_ID,
    project_id: int | None = None,
    environment_id: int | None = None,
    job_name: str | None = None,
    poll_interval: float | None = POLL_INTERVAL,
) -> Asset:
    """Return the asset with an event for each finished run of the account that matches.

    See ``job_runs`` for the arguments.
    """
    filters = {"environment_id": environment_id, "job_name": job_name, "project_id": project_id}
    query = urlencode({name: value for name, value in filters.items() if value is not None})
    return _asset(f"{prefix_of(conn_id)}runs" + (f"?{query}" if query else ""), poll_interval)


def _asset(uri: str, poll_interval: float | None) -> Asset:
    RunFilter.of_uri(uri)  # raises ValueError here instead of in the triggerer
    if poll_interval is None:
        return Asset(uri)
    if not poll_interval > 0:
        raise ValueError(f"poll_interval must be positive or None (got {poll_interval}).")
    trigger = DbtCloudRunsTrigger(Asset(uri).uri, float(poll_interval))
    return Asset(uri, watchers=[AssetWatcher(name="finished_runs", trigger=trigger)])

"""Keeps what a finished run came to, before dbt Cloud forgets it."""

from __future__ import annotations

import logging
from typing import Any

from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudHook
from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudJobRunStatus as Status

from ..airflow_compat import AirflowFailException
from ..client import DbtCloudClient
from ..responses import NOT_FOUND, DbtCloudRefusedError
from .dbt_docs import keep_docs
from .history import History
from .results import Results, results_of

DETAILS = "run_steps,job,trigger"
FINISHED = f"{sorted(Status.TERMINAL_STATUSES.value)}"
NEWEST = 50  # runs that are looked at when nobody names one
log = logging.getLogger(__name__)


def keep_runs(
    run_ids: list[int],
    history: Any,
    dbt_cloud_conn_id: str = DbtCloudHook.default_conn_name,
    account_id: int | None = None,
) -> list[Results]:
    """Keep runs that have ended below ``history``, an ObjectStoragePath; returns what they came to.

    A run that dbt Cloud does not know any more is only told, if there are others.

    Raises:
        AirflowFailException: A run goes on, or dbt Cloud knows none of them.
    """
    client = DbtCloudClient(DbtCloudHook(dbt_cloud_conn_id), account_id)
    kept = [results for run_id in run_ids if (results := keep_run(client, run_id, history))]
    if run_ids and not kept:
        raise AirflowFailException("Nothing is kept: dbt Cloud knows none of these runs.")
    return kept


def keep_run(client: DbtCloudClient, run_id: int, history: Any) -> Results | None:
    try:
        run = client.get(f"runs/{run_id}/", include_related=DETAILS)
    except DbtCloudRefusedError as refusal:
        if refusal.status != NOT_FOUND:
            raise
        log.warning("Run %s is not kept: %s", run_id, refusal)
        return None
    if run["status"] not in Status.TERMINAL_STATUSES.value:
        raise AirflowFailException(f"Run {run_id} goes on: keep it when it has ended.")
    results = results_of(client, run)
    History(history).keep(results)
    keep_docs(client, run, history)
    log.info("Kept %s: %s", run["href"], results.counts or "no results")
    return results


def runs_not_kept(
    history: Any,
    dbt_cloud_conn_id: str = DbtCloudHook.default_conn_name,
    account_id: int | None = None,
) -> list[int]:
    """Of the account's newest finished runs those that are not kept, oldest first."""
    client = DbtCloudClient(DbtCloudHook(dbt_cloud_conn_id), account_id)
    newest = client.get("runs/", status__in=FINISHED, order_by="-id", limit=NEWEST)
    jobs = {run["job_definition_id"] for run in newest}
    kept = {job_id: set(History(history).runs(job_id)) for job_id in jobs}
    return sorted(run["id"] for run in newest if run["id"] not in kept[run["job_definition_id"]])

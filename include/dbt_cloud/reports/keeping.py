"""Keeps what a finished run came to, before dbt Cloud forgets it."""

from __future__ import annotations

import logging
from typing import Any

from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudHook
from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudJobRunStatus as Status

from ..airflow.compat import AirflowFailException
from ..api.client import DbtCloudClient
from ..api.responses import NOT_FOUND, DbtCloudRefusedError
from .accounts import client_and_folder
from .dbt_docs import keep_docs
from .history import RUNS, History
from .results import Results, results_of

DETAILS = "run_steps,job,trigger"
FINISHED = f"{sorted(Status.TERMINAL_STATUSES.value)}"
NEWEST = 50  # runs that are looked at when nobody names one
# What of a run may change after it has ended, or was kept: artifacts can come later.
CHANGING = ("status", "finished_at", "artifacts_saved", "has_docs_generated")
log = logging.getLogger(__name__)


class NotKeptError(AirflowFailException):
    """A run is not there any more, or older than all that are kept."""


def keep_runs(
    run_ids: list[int],
    history: Any,
    dbt_cloud_conn_id: str = DbtCloudHook.default_conn_name,
    account_id: int | None = None,
) -> list[Results]:
    """Keep runs that have ended and return their results.

    ``history`` is an ObjectStoragePath; below it each account has a folder of its own. If a run
    cannot be kept and others can, the log names it.

    Raises:
        NotKeptError: None can be kept: dbt Cloud knows none of them, or newer ones fill the place.
        AirflowFailException: A run goes on.
    """
    client, folder = client_and_folder(history, dbt_cloud_conn_id, account_id)
    kept: list[Results] = []
    problem = None
    for run_id in run_ids:
        try:
            kept.append(keep_run(client, run_id, folder))
        except NotKeptError as error:
            log.warning("%s", error)
            problem = error
    if problem and not kept:
        raise problem
    return kept


def keep_run(client: DbtCloudClient, run_id: int, folder: Any) -> Results:
    """Raises NotKeptError."""
    try:
        run = client.get(f"runs/{run_id}/", include_related=DETAILS)
    except DbtCloudRefusedError as refusal:
        if refusal.status != NOT_FOUND:
            raise
        raise NotKeptError(f"Run {run_id} is not kept: {refusal}") from None
    if run["status"] not in Status.TERMINAL_STATUSES.value:
        raise AirflowFailException(f"Run {run_id} goes on: keep it when it has ended.")
    results = results_of(client, run)
    if not History(folder).keep(results):
        raise NotKeptError(
            f"Run {run_id} is not kept: the {RUNS} runs that are kept of its job are newer."
        )
    keep_docs(client, run, folder)
    log.info("Kept %s: %s", run["href"], results.counts or "no results")
    return results


def runs_not_kept(
    history: Any,
    dbt_cloud_conn_id: str = DbtCloudHook.default_conn_name,
    account_id: int | None = None,
) -> list[int]:
    """Of the account's newest finished runs those not kept as they are now, oldest first."""
    client, folder = client_and_folder(history, dbt_cloud_conn_id, account_id)
    newest = client.get("runs/", status__in=FINISHED, order_by="-id", limit=NEWEST)
    kept = {
        run["id"]: run
        for job_id in {run["job_definition_id"] for run in newest}
        for run in History(folder).heads(job_id, NEWEST)
    }
    return sorted(run["id"] for run in newest if has_changed(run, kept.get(run["id"])))


def has_changed(run: dict[str, Any], kept: dict[str, Any] | None) -> bool:
    """Whether dbt Cloud lists the run otherwise than it was kept, or it is not kept."""
    return kept is None or any(run.get(name) != kept[name] for name in CHANGING if name in kept)

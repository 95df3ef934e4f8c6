"""Store the results of finished runs before dbt Cloud deletes them."""

from __future__ import annotations

import logging
from typing import Any

from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudHook
from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudJobRunStatus as Status

from ..airflow.compat import AirflowFailException
from ..api.artifacts import read_artifact
from ..api.client import DbtCloudClient
from ..api.responses import NOT_FOUND, DbtCloudRefusedError
from .dbt_docs import keep_docs
from .history import RUNS_PER_JOB, History
from .results import Results, results_of
from .timeline import stored_timeline

DETAILS = "run_steps,job,trigger"
TERMINAL_STATUSES = f"{sorted(Status.TERMINAL_STATUSES.value)}"
NEWEST = 50  # runs to check if no run is specified
# Fields that can change after a run was stored, since artifacts can arrive later.
CHANGING = ("status", "finished_at", "artifacts_saved", "has_docs_generated")
log = logging.getLogger(__name__)


class NotKeptError(AirflowFailException):
    """A run was deleted, or is older than all stored ones."""


def keep_runs(
    run_ids: list[int],
    history: Any,
    dbt_cloud_conn_id: str = DbtCloudHook.default_conn_name,
    account_id: int | None = None,
) -> list[Results]:
    """Store finished runs and return their results.

    ``history`` is an ObjectStoragePath with a folder per account. If only some runs can be stored,
    the others are logged.

    Raises:
        NotKeptError: None was stored: dbt Cloud has none of them, or all stored runs are newer.
        AirflowFailException: A run is still active.
    """
    client = DbtCloudClient(DbtCloudHook(dbt_cloud_conn_id), account_id)
    folder = client.account.folder_below(history)
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
    """Store one run; raise ``NotKeptError`` or ``AirflowFailException`` as ``keep_runs``."""
    try:
        run = client.get(f"runs/{run_id}/", include_related=DETAILS)
    except DbtCloudRefusedError as refusal:
        if refusal.status != NOT_FOUND:
            raise
        raise NotKeptError(f"Could not store run {run_id}: {refusal}") from None
    if run["status"] not in Status.TERMINAL_STATUSES.value:
        raise AirflowFailException(
            f"Run {run_id} is still running; try again when it has finished."
        )
    results = results_of(client, run)
    if not History(folder).keep(results, timeline_of(client, results)):
        raise NotKeptError(
            f"Could not store run {run_id}: all {RUNS_PER_JOB} stored runs of its job are newer."
        )
    keep_docs(client, run, folder)
    log.info("Stored %s: %s", run["href"], results.counts or "no results")
    return results


def timeline_of(client: DbtCloudClient, results: Results) -> dict[str, Any]:
    """Return the stored timeline; the manifest of the last step with nodes has their parents."""
    if not results.nodes:
        return stored_timeline(results, None)
    step = results.nodes[-1].step
    manifest = read_artifact(client, results.run["id"], "manifest.json", step)
    return stored_timeline(results, manifest)


def runs_not_kept(
    history: Any,
    dbt_cloud_conn_id: str = DbtCloudHook.default_conn_name,
    account_id: int | None = None,
) -> list[int]:
    """Return the ids of new and changed runs of the account's newest ones, oldest first."""
    client = DbtCloudClient(DbtCloudHook(dbt_cloud_conn_id), account_id)
    folder = client.account.folder_below(history)
    newest = client.get("runs/", status__in=TERMINAL_STATUSES, order_by="-id", limit=NEWEST)
    kept = {
        run["id"]: run
        for job_id in {run["job_definition_id"] for run in newest}
        for run in History(folder).heads(job_id, NEWEST)
    }
    return sorted(run["id"] for run in newest if has_changed(run, kept.get(run["id"])))


def has_changed(run: dict[str, Any], kept: dict[str, Any] | None) -> bool:
    """Return whether the run is not stored, or was stored with other values."""
    return kept is None or any(run.get(name) != kept[name] for name in CHANGING if name in kept)

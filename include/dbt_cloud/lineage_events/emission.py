"""Emit the events of finished runs, once each, without failing a task."""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudHook

from ..airflow.openlineage_provider import (
    check_server,
    is_active,
    job_namespace,
    parent_of,
    send,
    without_datasets,
)
from ..api.client import DbtCloudClient
from ..api.loose_json import record
from ..api.runs import Run

DETAILS = "run_steps,job,trigger"
RETRY_SECONDS = 5.0  # of a read; the provider ends a listener after ten, by default
POLL_SECONDS = 0.5
LONGEST_CHAIN = 20  # of runs that resume each other
# In the cause: the key of an operator or a task group of this folder, or the provider's own text.
AIRFLOW_CAUSE = re.compile(r"\bairflow(-models)?:[0-9a-f]{16}\b|^Triggered via Apache Airflow\b")
FAILED = (
    "Could not emit the OpenLineage events of dbt Cloud run %s: %s. This does not affect the task."
)
log = logging.getLogger(__name__)


def emit_lineage(
    run_ids: Iterable[int],
    dbt_cloud_conn_id: str = DbtCloudHook.default_conn_name,
    account_id: int | None = None,
    namespace: str = "",
) -> list[int]:
    """Emit the events of finished runs that Airflow did not start; return the ids of these runs.

    The task that started a run emits its events, and those of the runs that resume it. They are
    skipped here. A failure is one warning in the log.

    Args:
        run_ids: Finished runs of one account.
        dbt_cloud_conn_id: The connection to dbt Cloud.
        account_id: The account, by default the connection's.
        namespace: The warehouse's name in OpenLineage, by default from the project's connection.
    """
    if not is_active():
        return []
    hook = DbtCloudHook(dbt_cloud_conn_id)
    return emit_runs(hook, account_id, run_ids, namespace=namespace, skip_own=True)


def emit_for_task(
    operator: Any, task_instance: Any, run_ids: Iterable[int], patience: float = 0.0
) -> Any:
    """Emit the events of a task's runs; return an ``OperatorLineage`` without datasets.

    The OpenLineage provider calls this at the end of a task, in a process of its own.
    """
    parent = parent_of(task_instance)
    emit_runs(operator.hook, operator.account_id, run_ids, parent, patience=patience)
    return without_datasets()


def emit_runs(
    hook: DbtCloudHook,
    account_id: int | None,
    run_ids: Iterable[int],
    parent: dict[str, Any] | None = None,
    namespace: str = "",
    patience: float = 0.0,
    skip_own: bool = False,
) -> list[int]:
    """Emit the events of finished runs; return their ids. Log one warning after a failure.

    Args:
        hook: The provider's hook.
        account_id: The account, by default the connection's.
        run_ids: The runs; active ones are skipped.
        parent: The fields of ``ParentRunMetadata`` of the task that started the runs.
        namespace: The namespace of all datasets, by default from the project's connection.
        patience: Seconds to wait for the end of a run that is being cancelled.
        skip_own: Whether to skip runs that belong to an Airflow task.
    """
    emitted: list[int] = []
    waiting = list(run_ids)
    try:
        check_server()
        client = DbtCloudClient(hook, account_id, RETRY_SECONDS)
        for run_id in list(waiting):
            run = finished_run(client, run_id, patience)
            if run and not (skip_own and belongs_to_task(client, run)):
                emit_run(client, run, parent, namespace)
                emitted.append(run_id)
            waiting.remove(run_id)
    except Exception as error:
        runs = ", ".join(map(str, waiting))
        log.warning(FAILED, runs, error)
    return emitted


def emit_run(
    client: DbtCloudClient, run: dict[str, Any], parent: dict[str, Any] | None, namespace: str
) -> None:
    from .job_run import events_of_run  # OpenLineage's client is slow to import

    events = events_of_run(client, run, job_namespace(), parent, namespace)
    send(events)
    log.info("Emitted %d OpenLineage events of run %s.", len(events), run["id"])


def finished_run(client: DbtCloudClient, run_id: int, patience: float) -> dict[str, Any] | None:
    """Return a run with its steps, job and trigger; None if it is still active."""
    deadline = time.monotonic() + patience
    while True:
        run: dict[str, Any] = client.get(f"runs/{run_id}/", include_related=DETAILS)
        if not Run.of(run).is_active:
            return run
        if time.monotonic() > deadline:
            log.info("Run %s has not finished: no OpenLineage events yet.", run_id)
            return None
        time.sleep(POLL_SECONDS)


def belongs_to_task(client: DbtCloudClient, run: dict[str, Any]) -> bool:
    """Return whether an Airflow task started this run, or a run that it resumes."""
    for _ in range(LONGEST_CHAIN):
        found = Run.of(run)
        if is_airflow_cause(found.cause):
            log.info("Run %s belongs to an Airflow task, which emits its events.", found.id)
            return True
        if found.resumes is None:
            return False
        run = client.get(f"runs/{found.resumes}/", include_related="trigger")
    return False


def is_airflow_cause(cause: str) -> bool:
    """Return whether the cause is from an operator of this folder or of the provider.

    >>> is_airflow_cause('{"parent": {}}'), is_airflow_cause("Kicked off from the UI")
    (True, False)
    """
    if AIRFLOW_CAUSE.search(cause):
        return True
    with suppress(ValueError):  # not JSON
        return "parent" in record(json.loads(cause))
    return False

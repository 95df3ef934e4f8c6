"""Read the runs that triggered a Dag run, in a task of that Dag."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudHook

from ..api.client import DbtCloudClient
from .assets import CONN_ID
from .finished_run import LISTED, FinishedRun
from .listed import read_page

NEWEST = 10  # runs, since the first ones may be unreadable
log = logging.getLogger(__name__)


def finished_runs(triggering_asset_events: Mapping[Any, Iterable[Any]] | None) -> list[FinishedRun]:
    """Return the runs that triggered the Dag run, the last to finish last; empty for a manual one.

    Args:
        triggering_asset_events: The value of this name in the task's context.
    """
    events = [event for each in (triggering_asset_events or {}).values() for event in each]
    found = [FinishedRun.of_extra(event.extra) for event in events]
    # Two assets can have the same run, and two accounts the same run id.
    runs = {(run.host, run.account_id, run.run_id): run for run in found if run}
    return sorted(runs.values(), key=lambda run: (run.finished_at, run.run_id))


def newest_finished_run(job_id: int, conn_id: str = CONN_ID) -> FinishedRun | None:
    """Return the job's newest finished run, for a manual Dag run; None if there is none yet."""
    client = DbtCloudClient(DbtCloudHook(conn_id), None)
    listed = client.get("runs/", job_definition_id=job_id, limit=NEWEST, **LISTED)
    runs, unreadable = read_page(listed, client.account)
    for run_id, reason in unreadable.items():
        log.warning("%s: skipped dbt Cloud run %s: %s.", conn_id, run_id, reason)
    return runs[0][1] if runs else None

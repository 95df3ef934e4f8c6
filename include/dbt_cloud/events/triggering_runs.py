"""What a task of a Dag reads that is scheduled on these assets."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudHook

from ..api.client import DbtCloudClient
from .assets import CONN_ID
from .finished_run import LISTED, FinishedRun
from .listed import read_page

NEWEST = 10  # runs; one that cannot be read may come first
log = logging.getLogger(__name__)


def finished_runs(triggering_asset_events: Mapping[Any, Iterable[Any]] | None) -> list[FinishedRun]:
    """The runs that started the Dag run, the last to end last; none if it was started by hand.

    Args:
        triggering_asset_events: what the task's context has under this name.
    """
    events = [event for each in (triggering_asset_events or {}).values() for event in each]
    told = [FinishedRun.of_extra(event.extra) for event in events]
    runs = {run.run_id: run for run in told if run}  # two assets may tell of the same
    return sorted(runs.values(), key=lambda run: (run.finished_at, run.run_id))


def newest_finished_run(job_id: int, conn_id: str = CONN_ID) -> FinishedRun | None:
    """The job's run that a Dag run started by hand can take; None if there is none yet."""
    client = DbtCloudClient(DbtCloudHook(conn_id), None)
    listed = client.get("runs/", job_definition_id=job_id, limit=NEWEST, **LISTED)
    runs, unreadable = read_page(listed)
    for run_id, reason in unreadable.items():
        log.warning("%s: dbt Cloud run %s is left out: %s.", conn_id, run_id, reason)
    return runs[0][1] if runs else None

"""The dbt Cloud run of a failed task: its failed nodes, and why, for people and for programs."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudHook
from airflow.providers.dbt.cloud.operators.dbt import DbtCloudRunJobOperator

from ..api.artifacts import Node, failed_nodes, nodes_in
from ..api.client import DbtCloudClient
from ..api.loose_json import record, records, text
from ..run.failures import lines_about_nodes, what_failed
from ..run.recovery import failed_step


@dataclass(frozen=True)
class FailedRun:
    """The dbt Cloud run of a failed task. ``details`` are lines for people."""

    id: int
    url: str
    step: str = ""
    nodes: list[Node] = field(default_factory=list)
    details: str = ""


def run_of_task(ti: Any) -> tuple[int | None, str]:
    """What a task that runs a job, or a model's, leaves in its XComs; other tasks have none."""
    if told := told_of_model(ti):
        return told["run_id"], text(told.get("run_url"))
    if not isinstance(ti.task, DbtCloudRunJobOperator):
        return None, ""
    return pulled(ti, "job_run_id"), pulled(ti, "job_run_url") or ""


def told_of_model(ti: Any) -> dict[str, Any]:
    """What a model's task tells, which ends in the triggerer and so has no exception."""
    if not getattr(ti.task, "start_from_trigger", False):
        return {}
    told = pulled(ti, "return_value")
    if isinstance(told, str):  # Airflow 3.3 leaves a trigger's XComs as the JSON that is stored
        with suppress(ValueError, RecursionError):
            told = json.loads(told)
    told = record(told)
    return told if told.keys() >= {"unique_id", "run_id"} else {}


def pulled(ti: Any, key: str) -> Any:
    return ti.xcom_pull(task_ids=ti.task_id, key=key, map_indexes=ti.map_index)


def failed_run(ti: Any, error: Any = None) -> FailedRun | None:
    """With its failed nodes, as far as dbt Cloud can still be asked.

    What a model's task has told is of an earlier try, if a worker has ended this one by ``error``.
    """
    if told := told_of_model(ti):
        return None if error else failed_run_of_model(told)
    run_id, url = run_of_task(ti)
    if run_id is None:
        return None
    try:
        hook = DbtCloudHook(ti.task.dbt_cloud_conn_id)
        client = DbtCloudClient(hook, ti.task.account_id)
        return describe(client, client.get(f"runs/{run_id}/", include_related="run_steps"))
    except Exception as error:  # dbt Cloud's trouble is often the very reason of the failure
        return FailedRun(run_id, url, details=f"Its details are not to be had: {error}")


def describe(client: DbtCloudClient, run: dict[str, Any]) -> FailedRun:
    """``run`` comes with its steps."""
    step = failed_step(run)
    if step is None:
        return FailedRun(run["id"], run["href"])
    return FailedRun(
        id=run["id"],
        url=run["href"],
        step=f"{step['index']}, {step['name'].strip()}",
        nodes=failed_nodes(client, run["id"], step["index"]),
        details="\n".join(what_failed(client, run["id"], step)),
    )


def failed_run_of_model(told: dict[str, Any]) -> FailedRun:
    """``told`` is of the model and of those of its tests that belong to its task."""
    reason = {"message": told["reason"]} if told.get("reason") else {}
    entries = [told | reason, *records(told.get("tests"))]
    nodes = nodes_in({"results": entries}, step=0)
    failed = [node for node in nodes if node.has_failed]
    details = "\n".join(lines_about_nodes(failed))
    return FailedRun(told["run_id"], text(told.get("run_url")), nodes=failed, details=details)


def facts_of_run(run: FailedRun) -> dict[str, Any]:
    return {
        "dbt_cloud_run_id": run.id,
        "dbt_cloud_run_url": run.url,
        "failed_step": run.step,
        "failed_nodes": [
            {"unique_id": node.unique_id, "status": node.status, "message": node.message}
            for node in run.nodes
        ],
    }

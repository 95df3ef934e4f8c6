"""The dbt Cloud run of a failed task, with failed nodes and reasons, for messages."""

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
    """The dbt Cloud run of a failed task. ``details`` are readable lines."""

    id: int
    url: str
    step: str = ""
    nodes: list[Node] = field(default_factory=list)
    details: str = ""


def run_of_task(ti: Any) -> tuple[int | None, str]:
    """Return run id and URL from a task's XComs; None and "" for tasks without a run."""
    if result := node_result(ti):
        return result["run_id"], text(result.get("run_url"))
    if not isinstance(ti.task, DbtCloudRunJobOperator):
        return None, ""
    return pull_xcom(ti, "job_run_id"), pull_xcom(ti, "job_run_url") or ""


def node_result(ti: Any) -> dict[str, Any]:
    """Return the XCom of a model's task, which ends in the triggerer, without an exception."""
    if not getattr(ti.task, "start_from_trigger", False):
        return {}
    result = pull_xcom(ti, "return_value")
    if isinstance(result, str):  # Airflow 3.3 does not parse a trigger's XComs
        with suppress(ValueError, RecursionError):
            result = json.loads(result)
    result = record(result)
    return result if result.keys() >= {"unique_id", "run_id"} else {}


def pull_xcom(ti: Any, key: str) -> Any:
    return ti.xcom_pull(task_ids=ti.task_id, key=key, map_indexes=ti.map_index)


def failed_run(ti: Any, error: Any = None) -> FailedRun | None:
    """Return the failed run with its failed nodes, if dbt Cloud is available.

    After ``error``, which only a worker raises, the XCom of a model's task is of an earlier try.
    """
    if result := node_result(ti):
        return None if error else failed_run_of_model(result)
    run_id, url = run_of_task(ti)
    if run_id is None:
        return None
    try:
        hook = DbtCloudHook(ti.task.dbt_cloud_conn_id)
        client = DbtCloudClient(hook, ti.task.account_id)
        return describe(client, client.get(f"runs/{run_id}/", include_related="run_steps"))
    except Exception as error:  # an outage is often the reason of the failure
        return FailedRun(run_id, url, details=f"Could not fetch the run's details: {error}")


def describe(client: DbtCloudClient, run: dict[str, Any]) -> FailedRun:
    """Return the failed run; ``run`` must include its steps."""
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


def failed_run_of_model(result: dict[str, Any]) -> FailedRun:
    """Return the failed run from the XCom of a model's task, which includes its tests."""
    reason = {"message": result["reason"]} if result.get("reason") else {}
    entries = [result | reason, *records(result.get("tests"))]
    nodes = nodes_in({"results": entries}, step=0)
    failed = [node for node in nodes if node.has_failed]
    details = "\n".join(lines_about_nodes(failed))
    return FailedRun(result["run_id"], text(result.get("run_url")), nodes=failed, details=details)


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

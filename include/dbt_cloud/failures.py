"""Why a dbt Cloud run did not succeed, in the words that a task's log needs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudJobRunStatus as Status

from .airflow_compat import AirflowException
from .artifacts import FAILED, UNFINISHED, failed_nodes, nodes_of
from .client import DbtCloudClient
from .recovery import failed_step

MAX_NODES = 20
MAX_MESSAGE = 600  # characters of one node's message
LOG_LINES = 15  # of a step that left no results


def describe_failure(client: DbtCloudClient, run_id: int) -> str:
    """Which step, which nodes with their messages, where to look and what to do next."""
    try:
        run = client.get(f"runs/{run_id}/", include_related="run_steps")
        return "\n".join(lines_about(client, run))
    except AirflowException as error:
        return f"dbt Cloud run {run_id} did not succeed. Its details are not to be had: {error}"


def lines_about(client: DbtCloudClient, run: dict[str, Any]) -> Iterator[str]:
    said = run.get("status_message") or run.get("status_humanized") or "no reason given"
    if run["status"] == Status.CANCELLED.value:
        yield f"dbt Cloud run {run['id']} was cancelled: {said}"
        yield f"See {run['href']}"
        yield "The next try, or clearing this task, starts a new run."
        return
    yield f"dbt Cloud run {run['id']} failed: {said}"
    if step := failed_step(run):
        yield f"Step {step['index']}, {step['name'].strip()}:"
        yield from what_failed(client, run["id"], step)
    yield f"See {run['href']}"
    yield "Repair the cause, then clear this task: it resumes the run from where it failed."


def describe_unfinished(client: DbtCloudClient, run: dict[str, Any]) -> str:
    """What a failed run has left to do; ``run`` comes with its steps."""
    lines = [f"Run {run['id']} failed: {run['href']}"]
    if step := failed_step(run):
        lines.append(f"Step {step['index']}, {step['name'].strip()}:")
        nodes = nodes_of(client, run["id"], step["index"])
        for word, statuses in (("failed", FAILED), ("skipped", UNFINISHED - FAILED)):
            names = [node.unique_id for node in nodes if node.status in statuses]
            lines.append(f"  {len(names)} {word}: {listed(names)}" if names else f"  none {word}")
    return "\n".join(lines)


def listed(names: list[str]) -> str:
    more = len(names) - MAX_NODES
    return ", ".join(names[:MAX_NODES]) + (f" and {more} more" if more > 0 else "")


def what_failed(client: DbtCloudClient, run_id: int, step: dict[str, Any]) -> Iterator[str]:
    nodes = failed_nodes(client, run_id, step["index"])
    for node in nodes[:MAX_NODES]:
        yield f"  {node.unique_id} ({node.status}): {shortened(node.message)}"
    if len(nodes) > MAX_NODES:
        yield f"  and {len(nodes) - MAX_NODES} more"
    if not nodes:
        lines = (step.get("logs") or "").rstrip().splitlines()
        yield from (f"  {line}" for line in lines[-LOG_LINES:])


def shortened(message: str) -> str:
    """One message, its further lines indented below the node."""
    if len(message) > MAX_MESSAGE:
        message = message[:MAX_MESSAGE] + " ..."
    return message.strip().replace("\n", "\n    ")

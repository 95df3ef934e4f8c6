"""Describe for a task's log why a dbt Cloud run failed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudJobRunStatus as Status

from ..airflow.compat import AirflowException
from ..api.artifacts import SKIPPED, Node, failed_nodes, nodes_of
from ..api.client import DbtCloudClient
from ..api.live_log import failed_batches
from ..api.responses import DbtCloudRefusedError
from .recovery import failed_step

MAX_LISTED_NODES = 20
MAX_MESSAGE = 600  # characters of one node's message
LOG_LINES = 15  # of a step without results
# Messages of dbt and of warehouses about code that fails again until it is changed.
# Snowflake's "SQL compilation error" can also be a table that does not exist yet.
IN_THE_CODE = re.compile(
    r"\b(Compilation|Parsing) Error\b|(?i:\bsyntax error\b|PARSE_SYNTAX_ERROR)"
)
# Next steps for a task that runs a job.
RESUMES = "Repair the cause, then clear this task: it resumes the run from where it failed."
STARTS_NEW_RUN = "The next try, or clearing this task, starts a new run."
# Next step for a task that only watches other tasks' runs.
CLEAR_OTHERS = (
    "Repair the cause, then clear the failed models' tasks or run_job, with their downstream "
    "tasks: clearing this task alone runs nothing."
)


def describe_failure(client: DbtCloudClient, run_id: int, advice: str = "") -> str:
    """Return the failed step, the nodes with their messages, the run's URL and the next step.

    ``advice`` replaces the default next step: clearing resumes a failed run, or starts a new one.
    """
    try:
        run = client.get(f"runs/{run_id}/", include_related="run_steps")
        return "\n".join(lines_about(client, run, advice))
    except AirflowException as error:
        return f"dbt Cloud run {run_id} did not succeed. Could not fetch its details: {error}"


def is_in_the_code(description: str) -> bool:
    """Return whether a description of a failure shows one that a retry would repeat."""
    return IN_THE_CODE.search(description) is not None


def lines_about(client: DbtCloudClient, run: dict[str, Any], advice: str = "") -> Iterator[str]:
    reason = run.get("status_message") or run.get("status_humanized") or "no reason given"
    if run["status"] == Status.CANCELLED.value:
        yield f"dbt Cloud run {run['id']} was cancelled: {reason}"
        yield f"See {run['href']}"
        yield advice or STARTS_NEW_RUN
        return
    yield f"dbt Cloud run {run['id']} failed: {reason}"
    if step := failed_step(run):
        yield f"Step {step['index']}, {step['name'].strip()}:"
        yield from what_failed(client, run["id"], step)
    yield f"See {run['href']}"
    yield advice or RESUMES


def describe_unfinished(client: DbtCloudClient, run: dict[str, Any]) -> str:
    """Return what a failed run did not finish; ``run`` must include its steps."""
    lines = [f"Run {run['id']} failed: {run['href']}"]
    if step := failed_step(run):
        lines.append(f"Step {step['index']}, {step['name'].strip()}:")
        try:
            lines += lines_about_unfinished(nodes_of(client, run["id"], step["index"]))
        except DbtCloudRefusedError as refusal:
            lines.append(f"  Its results cannot be read: {refusal}")
    return "\n".join(lines)


def lines_about_unfinished(nodes: list[Node]) -> Iterator[str]:
    failed = [node.unique_id for node in nodes if node.has_failed]
    skipped = [node.unique_id for node in nodes if node.status == SKIPPED]
    for word, names in (("failed", failed), ("skipped", skipped)):
        yield f"  {len(names)} {word}: {listed(names)}" if names else f"  none {word}"


def listed(names: list[str]) -> str:
    more = len(names) - MAX_LISTED_NODES
    return ", ".join(names[:MAX_LISTED_NODES]) + (f" and {more} more" if more > 0 else "")


def what_failed(client: DbtCloudClient, run_id: int, step: dict[str, Any]) -> Iterator[str]:
    nodes = failed_nodes(client, run_id, step["index"])
    log = step.get("logs") or ""
    yield from lines_about_nodes(nodes)
    for batch in islice(failed_batches(log), MAX_LISTED_NODES):
        yield f"    {shortened(batch)}"
    if not nodes:
        lines = log.rstrip().splitlines()
        yield from (f"  {line}" for line in lines[-LOG_LINES:])


def lines_about_nodes(nodes: list[Node]) -> Iterator[str]:
    for node in nodes[:MAX_LISTED_NODES]:
        yield f"  {node.unique_id} ({node.status}): {shortened(node.message)}"
    if len(nodes) > MAX_LISTED_NODES:
        yield f"  and {len(nodes) - MAX_LISTED_NODES} more"


def shortened(message: str) -> str:
    """Return one message of limited length, with its further lines indented."""
    if len(message) > MAX_MESSAGE:
        message = message[:MAX_MESSAGE] + " ..."
    return message.strip().replace("\n", "\n    ")

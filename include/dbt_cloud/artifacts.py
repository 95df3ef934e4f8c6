"""What dbt wrote about a run: https://docs.getdbt.com/reference/artifacts/run-results-json"""

from __future__ import annotations

from dataclasses import dataclass

from .client import DbtCloudClient
from .responses import DbtCloudRefusedError

FAILED = {"error", "fail", "runtime error"}
UNFINISHED = {*FAILED, "skipped", "partial success"}
# Hooks (on-run-start, on-run-end) are in the results, but no selection can name them.
NOT_SELECTABLE = "operation."


@dataclass(frozen=True)
class NodeResult:
    """One node of ``run_results.json``; ``message`` is dbt's or the warehouse's."""

    unique_id: str
    status: str
    message: str


def node_results(client: DbtCloudClient, run_id: int, step: int) -> list[NodeResult]:
    """Empty if the step failed before dbt had any results."""
    try:
        results = client.get(f"runs/{run_id}/artifacts/run_results.json", step=step)
    except DbtCloudRefusedError:
        return []
    return [
        NodeResult(node["unique_id"], node["status"], node.get("message") or "")
        for node in results.get("results", [])
    ]


def failed_nodes(client: DbtCloudClient, run_id: int, step: int) -> list[NodeResult]:
    return [node for node in node_results(client, run_id, step) if node.status in FAILED]


def unfinished_nodes(client: DbtCloudClient, run_id: int, step: int) -> list[str]:
    """The unique ids of what failed or was skipped."""
    return [
        node.unique_id
        for node in node_results(client, run_id, step)
        if node.status in UNFINISHED and not node.unique_id.startswith(NOT_SELECTABLE)
    ]

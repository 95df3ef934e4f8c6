"""What dbt wrote about a run.

https://docs.getdbt.com/reference/artifacts/run-results-json
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .client import DbtCloudClient
from .responses import DbtCloudRefusedError

# Kinds of nodes: what has a table or view of its own, and what looks at it.
BUILT = ("model", "seed", "snapshot")
TESTS = ("test", "unit_test")
FAILED = {"error", "fail", "runtime error"}
# Others, such as `dbt docs generate`, leave results too, of compiling only.
BUILDING = {"build", "retry", "run", "seed", "snapshot", "test"}
UNFINISHED = {*FAILED, "skipped", "partial success"}
# Hooks (on-run-start, on-run-end) are in the results, but no selection can name them.
NOT_SELECTABLE = "operation."


@dataclass(frozen=True)
class Node:
    """One node of ``run_results.json``; ``message`` is dbt's or the warehouse's.

    ``relation`` is its table or view as dbt writes it in SQL, ``rows`` what the warehouse says.
    """

    unique_id: str
    status: str
    seconds: float
    message: str
    step: int
    relation: str = ""
    rows: int | None = None

    @property
    def kind(self) -> str:
        return self.unique_id.partition(".")[0]

    @property
    def name(self) -> str:
        """Without project, and without the hash that ends a test's id."""
        parts = self.unique_id.split(".")[2:]
        return parts[0] if self.kind == "test" else ".".join(parts)


def read_artifact(client: DbtCloudClient, run_id: int, name: str, step: int) -> Any:
    """Its JSON; None if the step left none."""
    try:
        return client.get(f"runs/{run_id}/artifacts/{name}", step=step)
    except DbtCloudRefusedError:
        return None


def command_of(step: dict[str, Any]) -> str | None:
    found = re.fullmatch(r"Invoke dbt with `(.*)`\s*", step["name"], re.DOTALL | re.IGNORECASE)
    return found[1] if found else None


def nodes_in(run_results: dict[str, Any], step: int) -> list[Node]:
    return [
        Node(
            unique_id=result["unique_id"],
            status=result["status"],
            seconds=result.get("execution_time") or 0.0,
            message=result.get("message") or "",
            step=step,
            relation=result.get("relation_name") or "",
            rows=(result.get("adapter_response") or {}).get("rows_affected"),
        )
        for result in run_results.get("results", [])
    ]


def nodes_of(client: DbtCloudClient, run_id: int, step: int) -> list[Node]:
    """Empty if the step failed before dbt had any results."""
    return nodes_in(read_artifact(client, run_id, "run_results.json", step) or {}, step)


def failed_nodes(client: DbtCloudClient, run_id: int, step: int) -> list[Node]:
    return [node for node in nodes_of(client, run_id, step) if node.status in FAILED]


def unfinished_nodes(client: DbtCloudClient, run_id: int, step: int) -> list[str]:
    """The unique ids of what failed or was skipped."""
    return [
        node.unique_id
        for node in nodes_of(client, run_id, step)
        if node.status in UNFINISHED and not node.unique_id.startswith(NOT_SELECTABLE)
    ]


def nodes_of_run(client: DbtCloudClient, run: dict[str, Any]) -> Iterator[Node]:
    """Of all steps, in the order in which they ran; ``run`` comes with its steps."""
    seen: set[str] = set()
    for step in run["run_steps"]:
        if not command_of(step):
            continue
        artifact = read_artifact(client, run["id"], "run_results.json", step["index"])
        if artifact is None or artifact["args"]["which"] not in BUILDING:
            continue
        # A step without results of its own may still show those of the step before.
        if artifact["metadata"]["invocation_id"] in seen:
            continue
        seen.add(artifact["metadata"]["invocation_id"])
        yield from nodes_in(artifact, step["index"])

"""What dbt wrote about a run.

https://docs.getdbt.com/reference/artifacts/run-results-json
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .client import DbtCloudClient
from .commands import verb_of
from .loose_json import number, record, records, text
from .node_names import short_name
from .responses import NOT_FOUND, DbtCloudRefusedError

# Kinds of nodes: what has a table or view of its own, and what looks at it.
BUILT = ("model", "seed", "snapshot")
TESTS = ("test", "unit_test")
# Of nodes. A status that is not known here, such as one of a later dbt, is a failure.
GOOD = {"success", "pass", "warn", "reused", "no-op"}
SKIPPED = "skipped"
# Others, such as `dbt docs generate`, leave results too, of compiling only.
BUILDING = {"build", "retry", "run", "seed", "snapshot", "test"}


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
    def has_failed(self) -> bool:
        return has_failed(self.status)

    @property
    def is_trouble(self) -> bool:
        """Whether it has failed or warned."""
        return self.has_failed or self.status == "warn"

    @property
    def name(self) -> str:
        """Without project, and without the hash that ends a test's id."""
        return short_name(self.unique_id)


def has_failed(status: str) -> bool:
    """Return whether a node has failed that ended with this status, letter by letter.

    >>> [has_failed(status) for status in ("reused", "skipped", "partial success", "Success")]
    [False, False, True, True]
    """
    return status not in GOOD and status != SKIPPED


def read_artifact(client: DbtCloudClient, run_id: int, name: str, step: int) -> Any:
    """Its JSON; None only if dbt Cloud says that there is none. Any other refusal is raised."""
    try:
        return client.get(f"runs/{run_id}/artifacts/{name}", step=step)
    except DbtCloudRefusedError as refusal:
        if refusal.status != NOT_FOUND:
            raise
        return None


def every_node(manifest: dict[str, Any]) -> dict[str, Any]:
    """Unique id → node; a manifest lists its unit tests apart."""
    return record(manifest.get("nodes")) | record(manifest.get("unit_tests"))


def command_of(step: dict[str, Any]) -> str | None:
    found = re.fullmatch(r"Invoke dbt with `(.*)`\s*", step["name"], re.DOTALL | re.IGNORECASE)
    return found[1] if found else None


def nodes_in(run_results: dict[str, Any], step: int) -> list[Node]:
    """Without what names no node; what is missing is empty, an unknown status is ``unknown``."""
    results = records(run_results.get("results"))
    return [_node(result, step) for result in results if result.get("unique_id")]


def _node(result: dict[str, Any], step: int) -> Node:
    rows = record(result.get("adapter_response")).get("rows_affected")
    return Node(
        unique_id=text(result["unique_id"]),
        status=text(result.get("status")) or "unknown",
        seconds=number(result.get("execution_time")) or 0.0,
        message=text(result.get("message")),
        step=step,
        relation=text(result.get("relation_name")),
        rows=rows if isinstance(rows, int) else None,
    )


def command_run_by(artifact: dict[str, Any], command: str) -> str:
    """Which of dbt's commands has left it: the step's, where it does not say."""
    return text(record(artifact.get("args")).get("which")) or verb_of(command)


def invocation_of(artifact: dict[str, Any]) -> str:
    """The same for artifacts of one invocation of dbt."""
    return text(record(artifact.get("metadata")).get("invocation_id")) or repr(artifact)


def nodes_of(client: DbtCloudClient, run_id: int, step: int) -> list[Node]:
    """Empty if the step failed before dbt had any results."""
    return nodes_in(read_artifact(client, run_id, "run_results.json", step) or {}, step)


def failed_nodes(client: DbtCloudClient, run_id: int, step: int) -> list[Node]:
    return [node for node in nodes_of(client, run_id, step) if node.has_failed]


def nodes_of_run(client: DbtCloudClient, run: dict[str, Any]) -> Iterator[Node]:
    """Of all steps, in the order in which they ran; ``run`` comes with its steps."""
    seen: set[str] = set()
    for step in run["run_steps"] or ():
        command = command_of(step)
        if not command:
            continue
        artifact = read_artifact(client, run["id"], "run_results.json", step["index"])
        if artifact is None or command_run_by(artifact, command) not in BUILDING:
            continue
        # A step without results of its own may still show those of the step before.
        if (invocation := invocation_of(artifact)) not in seen:
            seen.add(invocation)
            yield from nodes_in(artifact, step["index"])

"""Read the artifacts of a dbt Cloud run.

https://docs.getdbt.com/reference/artifacts/run-results-json
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import msgspec

from .client import DbtCloudClient
from .commands import verb_of
from .loose_json import moment, number, record, records, text
from .node_names import short_name
from .responses import NOT_FOUND, DbtCloudRefusedError

# Kinds of nodes: with a table or view of their own, and checks of these.
BUILT = ("model", "seed", "snapshot")
TESTS = ("test", "unit_test")
# Statuses of nodes. Any other status, such as one of a later dbt, counts as a failure.
GOOD = {"success", "pass", "warn", "reused", "no-op"}
SKIPPED = "skipped"
# Other commands, such as `dbt docs generate`, write results of compiling only.
BUILDING = {"build", "retry", "run", "seed", "snapshot", "test"}


class Node(msgspec.Struct, frozen=True, gc=False):
    """One node of ``run_results.json``; ``message`` is dbt's or the warehouse's.

    ``relation`` is the quoted table or view, ``rows`` the number of affected rows, if reported.
    A node that dbt did not run has neither ``started_at`` nor ``ended_at``.
    """

    unique_id: str
    status: str
    seconds: float
    message: str = ""
    step: int = 0
    relation: str = ""
    rows: int | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    thread: str = ""

    @property
    def kind(self) -> str:
        return self.unique_id.partition(".")[0]

    @property
    def has_failed(self) -> bool:
        return has_failed(self.status)

    @property
    def is_skipped(self) -> bool:
        return self.status == SKIPPED

    @property
    def has_failed_or_warned(self) -> bool:
        """Return whether the node failed or warned."""
        return self.has_failed or self.status == "warn"

    @property
    def name(self) -> str:
        """Return the name without the project and without the hash of a test's id."""
        return short_name(self.unique_id)


def has_failed(status: str) -> bool:
    """Return whether a node with this exact status failed.

    >>> [has_failed(status) for status in ("reused", "skipped", "partial success", "Success")]
    [False, False, True, True]
    """
    return status not in GOOD and status != SKIPPED


def read_artifact(client: DbtCloudClient, run_id: int, name: str, step: int | None = None) -> Any:
    """Return the artifact's JSON, by default the run's last; None after 404, or raise."""
    try:
        return client.get(f"runs/{run_id}/artifacts/{name}", step=step)
    except DbtCloudRefusedError as refusal:
        if refusal.status != NOT_FOUND:
            raise
        return None


def every_node(manifest: dict[str, Any]) -> dict[str, Any]:
    """Return unique id → node, including the unit tests, which a manifest lists separately."""
    return record(manifest.get("nodes")) | record(manifest.get("unit_tests"))


def command_of(step: dict[str, Any]) -> str | None:
    found = re.fullmatch(r"Invoke dbt with `(.*)`\s*", step["name"], re.DOTALL | re.IGNORECASE)
    return found[1] if found else None


def nodes_in(run_results: dict[str, Any], step: int) -> list[Node]:
    """Return the nodes; skip entries without an id. A missing status becomes ``unknown``."""
    results = records(run_results.get("results"))
    return [_node(result, step) for result in results if result.get("unique_id")]


def _node(result: dict[str, Any], step: int) -> Node:
    rows = record(result.get("adapter_response")).get("rows_affected")
    seconds = number(result.get("execution_time")) or 0.0
    started_at, ended_at = _times(result, seconds)
    return Node(
        unique_id=text(result["unique_id"]),
        status=text(result.get("status")) or "unknown",
        seconds=seconds,
        message=text(result.get("message")),
        step=step,
        relation=text(result.get("relation_name")),
        rows=rows if isinstance(rows, int) else None,
        started_at=started_at,
        ended_at=ended_at,
        thread=text(result.get("thread_id")),
    )


def _times(result: dict[str, Any], seconds: float) -> tuple[datetime | None, datetime | None]:
    """Return start and end over compiling and executing; dbt can omit the time of a failure."""
    timing = {text(one.get("name")): one for one in records(result.get("timing"))}
    starts = [moment(one.get("started_at")) for one in timing.values()]
    started_at = min(filter(None, starts), default=None)
    if started_at is None:
        return None, None
    ended_at = moment(timing.get("execute", {}).get("completed_at"))
    # A limit, since arithmetic with any number of seconds overflows
    return started_at, ended_at or started_at + timedelta(seconds=min(abs(seconds), 1e8))


def command_run_by(artifact: dict[str, Any], command: str) -> str:
    """Return the dbt command that wrote the artifact, by default that of the step."""
    return text(record(artifact.get("args")).get("which")) or verb_of(command)


def invocation_of(artifact: dict[str, Any]) -> str:
    """Return an id that all artifacts of one dbt invocation share."""
    return text(record(artifact.get("metadata")).get("invocation_id")) or repr(artifact)


def nodes_of(client: DbtCloudClient, run_id: int, step: int) -> list[Node]:
    """Return the step's nodes; empty if it failed before dbt wrote results."""
    return nodes_in(read_artifact(client, run_id, "run_results.json", step) or {}, step)


def failed_nodes(client: DbtCloudClient, run_id: int, step: int) -> list[Node]:
    return [node for node in nodes_of(client, run_id, step) if node.has_failed]


def nodes_of_run(client: DbtCloudClient, run: dict[str, Any]) -> Iterator[Node]:
    """Yield the nodes of all steps, in order; ``run`` must include its steps."""
    for index, _, run_results in built_steps(client, run):
        yield from nodes_in(run_results, index)


def built_steps(
    client: DbtCloudClient, run: dict[str, Any]
) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """Yield index, command and ``run_results.json`` of each step that built or tested nodes."""
    seen: set[str] = set()
    for step in run["run_steps"] or ():
        command = command_of(step)
        if not command:
            continue
        artifact = read_artifact(client, run["id"], "run_results.json", step["index"])
        if artifact is None or command_run_by(artifact, command) not in BUILDING:
            continue
        # For a step without results, dbt Cloud can return those of the step before.
        if (invocation := invocation_of(artifact)) not in seen:
            seen.add(invocation)
            yield step["index"], command, artifact

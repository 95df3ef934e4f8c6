"""The nodes of a run with their states and parents, for the picture of its lineage."""

from __future__ import annotations

from dataclasses import dataclass

from ..api.artifacts import TESTS, Node
from .run_details import RunDetails


@dataclass(frozen=True)
class LineageNode:
    """A node; ``parents`` are places in the list of nodes."""

    unique_id: str
    name: str
    state: str  # success, warn, error or skipped
    status: str  # dbt's
    seconds: float
    message: str
    is_test: bool
    parents: list[int]
    folder: str  # of the dbt project; empty if unknown


def lineage_of(details: RunDetails) -> list[LineageNode] | None:
    """Return each node of a run once, with its last result; None without known parents."""
    if not details.results or not any(node.parents is not None for node in details.nodes):
        return None
    outcomes = details.results.outcomes
    places = {node.unique_id: place for place, node in enumerate(outcomes)}
    parents: dict[str, set[int]] = {node.unique_id: set() for node in outcomes}
    for timed in details.nodes:
        ids = {details.nodes[one].node.unique_id for one in timed.parents or ()}
        parents[timed.node.unique_id] |= {places[one] for one in ids - {timed.node.unique_id}}
    timeline = details.timeline
    folders = {
        details.nodes[place].node.unique_id: folder
        for folder, some in (timeline.folders if timeline else {}).items()
        for place in some
    }
    return [
        LineageNode(
            unique_id=node.unique_id,
            name=details.results.called(node),
            state=state_of(node),
            status=node.status,
            seconds=round(node.seconds, 2),
            message=node.message,
            is_test=node.kind in TESTS,
            parents=sorted(parents[node.unique_id]),
            folder=folders.get(node.unique_id, ""),
        )
        for node in outcomes
    ]


def state_of(node: Node) -> str:
    if node.has_failed_or_warned:
        return "error" if node.has_failed else "warn"
    return "skipped" if node.is_skipped else "success"

"""What each node of a dbt Cloud run came to, over all of the run's steps."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from ..api.artifacts import Node, nodes_of_run
from ..api.client import DbtCloudClient
from ..api.node_names import distinct_names


@dataclass(frozen=True)
class Results:
    """A run and its nodes, in the order in which they ran; a node of two steps is there twice."""

    run: dict[str, Any]
    nodes: list[Node]

    @cached_property
    def outcomes(self) -> list[Node]:
        """Each node once: as its last step left it, with the seconds of all its steps."""
        seconds: dict[str, float] = defaultdict(float)
        for node in self.nodes:
            seconds[node.unique_id] += node.seconds
        last = {node.unique_id: node for node in self.nodes}
        return [replace(node, seconds=seconds[key]) for key, node in last.items()]

    @cached_property
    def names(self) -> dict[str, str]:
        """Unique id → what people call the node."""
        return distinct_names(node.unique_id for node in self.nodes)

    def called(self, node: Node) -> str:
        """Such as ``model orders``."""
        return f"{node.kind} {self.names[node.unique_id]}"

    @property
    def counts(self) -> dict[str, int]:
        return dict(Counter(node.status for node in self.outcomes).most_common())

    @property
    def failed(self) -> list[Node]:
        return [node for node in self.outcomes if node.has_failed]

    @property
    def warned(self) -> list[Node]:
        return [node for node in self.outcomes if node.status == "warn"]

    @property
    def slowest(self) -> list[Node]:
        """The ten that took longest."""
        return sorted(self.outcomes, key=lambda node: node.seconds, reverse=True)[:10]

    @property
    def model_seconds(self) -> dict[str, float]:
        """Unique id of each model that succeeded every time → its seconds in all steps."""
        unbuilt = {node.unique_id for node in self.nodes if node.status != "success"}
        return {
            node.unique_id: node.seconds
            for node in self.outcomes
            if node.kind == "model" and node.unique_id not in unbuilt
        }


def read_results(client: DbtCloudClient, run_id: int) -> Results:
    """Raises DbtCloudRefusedError if there is no such run."""
    run = client.get(f"runs/{run_id}/", include_related="run_steps,debug_logs,job")
    return results_of(client, run)


def results_of(client: DbtCloudClient, run: dict[str, Any]) -> Results:
    """``run`` comes with its steps."""
    return Results(run, list(nodes_of_run(client, run)))

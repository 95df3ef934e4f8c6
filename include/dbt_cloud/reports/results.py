"""The results of all nodes of a dbt Cloud run, over all its steps."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from msgspec.structs import replace

from ..api.artifacts import Node, nodes_of_run
from ..api.client import DbtCloudClient
from ..api.node_names import distinct_names


@dataclass(frozen=True)
class Results:
    """A run and its nodes in order; a node that ran in two steps has two entries."""

    run: dict[str, Any]
    nodes: list[Node]

    @cached_property
    def outcomes(self) -> list[Node]:
        """Return each node once, with the result of its last step and the seconds of all steps."""
        seconds: dict[str, float] = defaultdict(float)
        for node in self.nodes:
            seconds[node.unique_id] += node.seconds
        last = {node.unique_id: node for node in self.nodes}
        return [
            node if seconds[key] == node.seconds else replace(node, seconds=seconds[key])
            for key, node in last.items()
        ]

    @cached_property
    def names(self) -> dict[str, str]:
        """Return unique id → distinct name."""
        return distinct_names(node.unique_id for node in self.nodes)

    def called(self, node: Node) -> str:
        """Return kind and name, such as ``model orders``."""
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
        """Return the ten slowest nodes."""
        return sorted(self.outcomes, key=lambda node: node.seconds, reverse=True)[:10]

    @property
    def model_seconds(self) -> dict[str, float]:
        """Return unique id → seconds in all steps, of models that succeeded in each step."""
        unbuilt = {node.unique_id for node in self.nodes if node.status != "success"}
        return {
            node.unique_id: node.seconds
            for node in self.outcomes
            if node.kind == "model" and node.unique_id not in unbuilt
        }


def read_results(client: DbtCloudClient, run_id: int) -> Results:
    """Return the results of a run; raise ``DbtCloudRefusedError`` if it does not exist."""
    run = client.get(f"runs/{run_id}/", include_related="run_steps,debug_logs,job")
    return results_of(client, run)


def results_of(client: DbtCloudClient, run: dict[str, Any]) -> Results:
    """Return the results of a run, which must include its steps."""
    return Results(run, list(nodes_of_run(client, run)))

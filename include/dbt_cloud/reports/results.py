"""What each node of a dbt Cloud run came to, over all of the run's steps."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Any

from ..artifacts import FAILED, Node, nodes_of_run
from ..client import DbtCloudClient


@dataclass(frozen=True)
class Results:
    """A run and its nodes, in the order in which they ran."""

    run: dict[str, Any]
    nodes: list[Node]

    @property
    def counts(self) -> dict[str, int]:
        return dict(Counter(node.status for node in self.nodes).most_common())

    @property
    def failed(self) -> list[Node]:
        return [node for node in self.nodes if node.status in FAILED]

    @property
    def warned(self) -> list[Node]:
        return [node for node in self.nodes if node.status == "warn"]

    @property
    def slowest(self) -> list[Node]:
        """The ten that took longest."""
        return sorted(self.nodes, key=lambda node: node.seconds, reverse=True)[:10]

    @property
    def model_seconds(self) -> dict[str, float]:
        """Model → what it took in all steps together; only those that succeeded every time."""
        seconds: dict[str, float] = defaultdict(float)
        for node in self.nodes:
            if node.kind == "model":
                seconds[node.name] += node.seconds
        for node in self.nodes:
            if node.kind == "model" and node.status != "success":
                seconds.pop(node.name, None)
        return dict(seconds)


def read_results(client: DbtCloudClient, run_id: int) -> Results:
    """Raises DbtCloudRefusedError if there is no such run."""
    run = client.get(f"runs/{run_id}/", include_related="run_steps,debug_logs,job")
    return results_of(client, run)


def results_of(client: DbtCloudClient, run: dict[str, Any]) -> Results:
    """``run`` comes with its steps."""
    return Results(run, list(nodes_of_run(client, run)))

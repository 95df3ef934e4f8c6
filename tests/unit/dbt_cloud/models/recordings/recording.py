"""Read the recorded runs, with the state of each node in logs and results."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from include.dbt_cloud.api.artifacts import BUILDING
from include.dbt_cloud.api.live_log import read_log
from include.dbt_cloud.models.lineage import nodes_in_manifest

FOLDER = Path(__file__).parent
RECORDINGS = [
    str(file.relative_to(FOLDER).with_suffix(""))
    for file in sorted(FOLDER.glob("*/*/*.json"))
    if file.stem != "nodes"
]
# With --fail-fast, 2.0.0a4 writes "error" for every node, also for built ones.
UNTRUE = "2.0/parts/fail_fast"
GOOD, SKIPPED = {"success", "pass", "warn", "no-op", "reused"}, {"skipped"}


def kind(status: str) -> str:
    return "good" if status in GOOD else "skipped" if status in SKIPPED else "failed"


def steps(recording: str) -> list[dict[str, Any]]:
    """Return the commands that build or test nodes and have results."""
    run = json.loads((FOLDER / f"{recording}.json").read_text())
    found: dict[str, dict[str, Any]] = {}
    for step in run["run_steps"]:
        results = step["run_results"]
        if results and results["args"]["which"] in BUILDING:
            found.setdefault(results["metadata"]["invocation_id"], step)
    return list(found.values())


def labels(recording: str) -> dict[str, str]:
    """Return unique id → label, without labels of several nodes, as in a task group."""
    manifest = json.loads((FOLDER / recording).with_name("nodes.json").read_text())
    nodes = nodes_in_manifest(manifest)
    times = Counter(node.label for node in nodes)
    return {node.unique_id: node.label for node in nodes if times[node.label] == 1}


def outcomes(recording: str, step: dict[str, Any]) -> dict[str, tuple[str | None, str | None]]:
    """Return unique id → outcomes in log and results; None without one."""
    lines = read_log("\n".join(step["logs"]))
    by_log = {label: kind(one.status) for label, one in lines.items() if one.status != "started"}
    by_results = {one["unique_id"]: kind(one["status"]) for one in step["run_results"]["results"]}
    return {
        unique_id: (by_log.get(label), by_results.get(unique_id))
        for unique_id, label in labels(recording).items()
    }

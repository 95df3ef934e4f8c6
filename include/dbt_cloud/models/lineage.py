"""The nodes of a dbt project and how they depend on each other, in a file that a Dag can parse.

``write_lineage`` makes it from the manifest that a run has left. It keeps what tasks need, so that
reading it takes milliseconds, and nothing else is read while a Dag file is parsed.
https://docs.getdbt.com/reference/artifacts/manifest-json
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Any

from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudHook

from ..artifacts import BUILT, TESTS
from ..client import DbtCloudClient
from ..responses import DbtCloudRefusedError
from .live_log import without_database

VERSION = 1
HOW = "the Dag write_lineage writes it anew"


@dataclass(frozen=True)
class LineageNode:
    """``folder`` is where its file is below the project's models, seeds or tests.

    ``relation`` is ``database.schema.identifier``, empty for tests.
    """

    unique_id: str
    name: str
    type: str
    parents: tuple[str, ...]
    tags: tuple[str, ...] = ()
    folder: str = ""
    relation: str = ""

    @property
    def label(self) -> str:
        """What dbt calls it in its log."""
        if self.type == "unit_test":
            return "::".join(self.unique_id.split(".")[2:4])
        return without_database(self.relation) or self.name


@dataclass(frozen=True)
class Lineage:
    """Unique id → node, parents before children. ``problem`` says why there is none."""

    nodes: dict[str, LineageNode] = field(default_factory=dict)
    problem: str = ""

    def parents_among(self, unique_id: str, wanted: Iterable[str]) -> set[str]:
        """The nearest ancestors that are wanted: what is left out passes its parents on."""
        among, found, seen = set(wanted), set(), set()
        left = list(self.nodes[unique_id].parents)
        while left:
            parent = left.pop()
            if parent in seen or parent not in self.nodes:
                continue
            seen.add(parent)
            if parent in among:
                found.add(parent)
            else:
                left.extend(self.nodes[parent].parents)
        return found

    def select(self, select: Iterable[str], exclude: Iterable[str]) -> set[str]:
        """Unique ids that fit any of ``select`` (all, if it is empty) and none of ``exclude``.

        Each is ``tag:daily``, ``folder:marts/finance``, or a name in which * stands for anything.
        """
        chosen, refused = [matches(one) for one in select], [matches(one) for one in exclude]
        return {
            unique_id
            for unique_id, node in self.nodes.items()
            if (not chosen or any(fits(node) for fits in chosen))
            and not any(fits(node) for fits in refused)
        }


def matches(selector: str) -> Callable[[LineageNode], bool]:
    method, _, value = selector.rpartition(":")
    if not value or method not in ("", "tag", "folder"):
        raise ValueError(f"{selector!r} selects nothing: write tag:TAG, folder:FOLDER or a name.")
    if method == "tag":
        return lambda node: value in node.tags
    if method == "folder":
        return lambda node: f"{node.folder}/".startswith(f"{value.strip('/')}/")
    return lambda node: fnmatchcase(node.name, value)


def read_lineage(path: Path) -> Lineage:
    """Never raises: without a good file a Dag still parses, and its run says what to do."""
    try:
        return _read(path, path.stat().st_mtime_ns)
    except OSError as error:
        return Lineage(problem=f"The lineage file {path} cannot be read ({error.strerror}): {HOW}.")


@lru_cache(maxsize=32)
def _read(path: Path, _written_at: int) -> Lineage:
    try:
        content = json.loads(path.read_text())
        if content["version"] != VERSION:
            return Lineage(problem=f"{path} is of version {content['version']}: {HOW}.")
        nodes = [LineageNode(**_tuples(node)) for node in content["nodes"]]
    except (ValueError, KeyError, TypeError) as error:
        return Lineage(problem=f"{path} is no lineage file ({error!r}): {HOW}.")
    return Lineage({node.unique_id: node for node in nodes})


def _tuples(node: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in node.items()}


def write_lineage(hook: DbtCloudHook, run_id: int, path: Path) -> int:
    """Writes the lineage of the project as a run has parsed it; returns how many nodes.

    The run should be one with the job's own schema and branch, since the file names relations.
    Raises ValueError if the run has left no manifest.
    """
    client = DbtCloudClient(hook, None)
    try:
        job_id = client.get(f"runs/{run_id}/")["job_definition_id"]
        manifest = client.get(f"runs/{run_id}/artifacts/manifest.json")
    except DbtCloudRefusedError as refusal:
        raise ValueError(
            f"Run {run_id} has no manifest ({refusal.reason}): name one that has parsed it."
        ) from None
    nodes = nodes_in_manifest(manifest)
    lines = ",\n".join(f"    {json.dumps(_slim(node))}" for node in nodes)
    text = f'{{\n  "version": {VERSION},\n  "job_id": {job_id},\n  "nodes": [\n{lines}\n  ]\n}}\n'
    if not path.exists() or path.read_text() != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.part")
        part.write_text(text)
        part.replace(path)  # whoever parses a Dag meanwhile reads the file before, or this one
    return len(nodes)


def _slim(node: LineageNode) -> dict[str, Any]:
    return {key: value for key, value in asdict(node).items() if value or key == "parents"}


def nodes_in_manifest(manifest: dict[str, Any]) -> list[LineageNode]:
    """Models, seeds, snapshots and tests, parents first; what is ephemeral passes its parents on.

    dbt runs no ephemeral model, so it has neither a result nor a task.
    """
    found = {
        unique_id: node
        for unique_id, node in {**manifest["nodes"], **manifest.get("unit_tests", {})}.items()
        if node["resource_type"] in BUILT + TESTS
    }
    run = {
        unique_id
        for unique_id, node in found.items()
        if node.get("config", {}).get("materialized") != "ephemeral"
    }
    everything = Lineage({unique_id: _node(node) for unique_id, node in found.items()})
    nodes = [
        replace(
            everything.nodes[unique_id],
            parents=tuple(sorted(everything.parents_among(unique_id, run))),
        )
        for unique_id in sorted(run)
    ]
    return parents_first(nodes)


def _node(node: dict[str, Any]) -> LineageNode:
    is_test = node["resource_type"] in TESTS
    place = [node.get("database"), node.get("schema"), node.get("alias") or node["name"]]
    return LineageNode(
        unique_id=node["unique_id"],
        name=node["name"] + (f"_v{node['version']}" if node.get("version") else ""),
        type=node["resource_type"],
        parents=tuple(node.get("depends_on", {}).get("nodes", ())),
        tags=tuple(sorted(node.get("tags") or ())),
        folder="/".join(node["fqn"][1:-1]),
        relation="" if is_test else ".".join(part for part in place if part),
    )


def parents_first(nodes: Iterable[LineageNode]) -> list[LineageNode]:
    waiting, done = {node.unique_id: node for node in nodes}, dict[str, LineageNode]()
    while waiting:
        ready = [
            node for node in waiting.values() if not any(one in waiting for one in node.parents)
        ]
        if not ready:
            raise ValueError(f"The nodes {', '.join(waiting)} depend on each other.")
        for node in ready:
            done[node.unique_id] = waiting.pop(node.unique_id)
    return list(done.values())

"""The nodes of a dbt project and their dependencies, in a file for Dags to read.

``write_lineage`` creates it from a run's manifest. It has only the fields that tasks need, so that
reading it takes milliseconds, and parsing a Dag file reads nothing else.
https://docs.getdbt.com/reference/artifacts/manifest-json
"""

from __future__ import annotations

import json
from collections.abc import Callable, Container, Iterable
from dataclasses import asdict, dataclass, field, replace
from fnmatch import fnmatchcase
from functools import lru_cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudHook

from ..api.artifacts import BUILT, TESTS, every_node
from ..api.client import DbtCloudClient
from ..api.live_log import label_of
from ..api.loose_json import record, text
from ..api.responses import NOT_FOUND, DbtCloudRefusedError

VERSION = 1
TEXTS, LISTS = ("unique_id", "name", "type", "folder", "relation"), ("parents", "tags")
REWRITE = "run the Dag write_lineage to rewrite it"


@dataclass(frozen=True)
class LineageNode:
    """A node of a dbt project.

    ``folder`` is the folder of its file, relative to the project's models, seeds or tests.
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
        """Return the node's name in dbt's log."""
        return label_of(self.unique_id, self.name, self.relation)


@dataclass(frozen=True)
class Lineage:
    """Unique id → node, parents before children. ``problem`` is the reason if there are none."""

    nodes: dict[str, LineageNode] = field(default_factory=dict)
    problem: str = ""

    def parents_among(self, chosen: Container[str]) -> dict[str, set[str]]:
        """Return unique id of each node → its nearest ancestors among ``chosen``, in one pass."""
        found: dict[str, set[str]] = {}
        for unique_id, node in self.nodes.items():
            found[unique_id] = set()
            for parent in self.nodes.keys() & set(node.parents):
                found[unique_id] |= {parent} if parent in chosen else found[parent]
        return found

    def select(self, select: Iterable[str], exclude: Iterable[str]) -> set[str]:
        """Return the unique ids that match any of ``select`` (or all) and none of ``exclude``.

        Each is ``tag:daily``, ``folder:marts/finance``, or a name in which ``*`` is a wildcard.
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
        raise ValueError(f"{selector!r} is not valid: use tag:TAG, folder:FOLDER or a name.")
    if method == "tag":
        return lambda node: value in node.tags
    if method == "folder":
        return lambda node: f"{node.folder}/".startswith(f"{value.strip('/')}/")
    return lambda node: fnmatchcase(node.name, value)


def read_lineage(path: Path) -> Lineage:
    """Return the file's lineage; never raise: ``problem`` has the error and the next step."""
    try:
        return _read(path, path.stat().st_mtime_ns)
    except OSError as error:
        return Lineage(problem=f"Could not read lineage file {path} ({error.strerror}): {REWRITE}.")
    except ValueError as error:  # of an impossible path
        return Lineage(problem=f"Could not read lineage file {path!r} ({error}): {REWRITE}.")


@lru_cache(maxsize=32)
def _read(path: Path, _written_at: int) -> Lineage:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["version"] != VERSION:
            version = text(content["version"])[:50]
            return Lineage(problem=f"{path} has format version {version}: {REWRITE}.")
        nodes = parents_first(map(_node_in_file, content["nodes"]))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        return Lineage(problem=f"{path} is not a lineage file ({error!r:.200}): {REWRITE}.")
    return Lineage({node.unique_id: node for node in nodes})


def _node_in_file(node: Any) -> LineageNode:
    """Return a node, with null as missing; raise ``TypeError`` for missing or mistyped fields."""
    if not isinstance(node, dict):
        raise TypeError(f"a node is {node!r}")
    found: dict[str, Any] = {key: node[key] for key in TEXTS if node.get(key) is not None}
    for key, value in found.items():
        if not _is_text(value):
            raise TypeError(f"{key} is {value!r}")
    for key in LISTS:
        value = node.get(key) or []
        if not isinstance(value, list) or not all(map(_is_text, value)):
            raise TypeError(f"{key} is {value!r}")
        found[key] = tuple(value)
    return LineageNode(**found)


def _is_text(value: Any) -> bool:
    """Return whether the value is text that every database can store."""
    return isinstance(value, str) and text(value) == value


def write_lineage(hook: DbtCloudHook, run_id: int, path: Path) -> int:
    """Write the lineage from a run's manifest; return the number of nodes.

    Use a run with the job's own schema and branch, since the file contains relations.

    Raises:
        ValueError: The run has no manifest.
    """
    client = DbtCloudClient(hook, None)
    try:
        job_id = client.get(f"runs/{run_id}/")["job_definition_id"]
        manifest = client.get(f"runs/{run_id}/artifacts/manifest.json")
    except DbtCloudRefusedError as refusal:
        if refusal.status != NOT_FOUND:
            raise
        raise ValueError(
            f"Run {run_id} has no manifest ({refusal.reason}): use a run that parsed the project."
        ) from None
    nodes = nodes_in_manifest(manifest)
    lines = ",\n".join(f"    {json.dumps(_slim(node))}" for node in nodes)
    text = f'{{\n  "version": {VERSION},\n  "job_id": {job_id},\n  "nodes": [\n{lines}\n  ]\n}}\n'
    if not path.exists() or path.read_text() != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.part")
        part.write_text(text)
        part.replace(path)  # atomic, for concurrent readers
    return len(nodes)


def _slim(node: LineageNode) -> dict[str, Any]:
    return {key: value for key, value in asdict(node).items() if value or key == "parents"}


def nodes_in_manifest(manifest: dict[str, Any]) -> list[LineageNode]:
    """Return models, seeds, snapshots and tests, parents first.

    Ephemeral models are replaced by their parents, since dbt does not run them. Raise
    ``ValueError`` for a cycle.
    """
    found = {
        text(unique_id): node
        for unique_id, node in every_node(manifest).items()
        if isinstance(node, dict) and node.get("resource_type") in BUILT + TESTS
    }
    run = {
        unique_id
        for unique_id, node in found.items()
        if record(node.get("config")).get("materialized") != "ephemeral"
    }
    nodes = parents_first(_node(*found_node) for found_node in sorted(found.items()))
    everything = Lineage({node.unique_id: node for node in nodes})
    parents = everything.parents_among(run)
    return parents_first(
        replace(everything.nodes[unique_id], parents=tuple(sorted(parents[unique_id])))
        for unique_id in sorted(run)
    )


def _node(unique_id: str, node: dict[str, Any]) -> LineageNode:
    name = text(node.get("name")) or unique_id.rpartition(".")[2]
    version = text(node.get("version"))
    place = [text(node.get(key)) for key in ("database", "schema", "alias")]
    return LineageNode(
        unique_id=unique_id,
        name=f"{name}_v{version}" if version else name,
        type=node["resource_type"],
        parents=tuple(_texts(record(node.get("depends_on")).get("nodes"))),
        tags=tuple(sorted(_texts(node.get("tags")))),
        folder="/".join(_texts(node.get("fqn"))[1:-1]),
        relation=".".join(filter(None, [*place[:2], place[2] or name]))
        if node["resource_type"] in BUILT
        else "",
    )


def _texts(value: Any) -> list[str]:
    return [text(one) for one in value] if isinstance(value, list) else []


def parents_first(nodes: Iterable[LineageNode]) -> list[LineageNode]:
    """Return the nodes by level, else in their order; raise ``ValueError`` for a cycle."""
    found = {node.unique_id: node for node in nodes}
    parents = {key: found.keys() & set(node.parents) for key, node in found.items()}
    levels: dict[str, int] = {}
    try:
        for unique_id in TopologicalSorter(parents).static_order():
            levels[unique_id] = 1 + max((levels[one] for one in parents[unique_id]), default=0)
    except CycleError as error:
        nodes_of_cycle = ", ".join(error.args[1][:20])
        raise ValueError(f"The nodes {nodes_of_cycle} depend on each other.") from None
    return sorted(found.values(), key=lambda node: levels[node.unique_id])

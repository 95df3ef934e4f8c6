"""When each node of a run was busy, in which thread and after which nodes, for the run's file.

Per node the file has ``[start, end, thread, rows, parents]``: seconds since ``origin``, the number
of the thread, and the places of its parents in the list of nodes. Unavailable values are null.
The folders of the dbt project are apart: folder → places.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self, TypeVar

from ..api.artifacts import TESTS, Node, every_node
from ..api.loose_json import moment, number, record, text
from .results import Results

MAX_NAME = 200  # characters of a step's name
T = TypeVar("T")


@dataclass(frozen=True)
class Step:
    """A step of the job, such as a dbt command."""

    index: int
    name: str
    status: int
    started_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True)
class TimedNode:
    """A node with its times, in seconds; those of a node that dbt did not run are None.

    ``parents`` are places in the timeline; None if the manifest does not have the node.
    """

    node: Node
    start: float | None = None
    end: float | None = None
    thread: int | None = None
    rows: int | None = None
    parents: tuple[int, ...] | None = None

    @property
    def is_test(self) -> bool:
        return self.node.kind in TESTS


@dataclass(frozen=True)
class Timeline:
    """The nodes in the order of the results. ``origin`` is the first start of a node."""

    origin: datetime | None
    steps: list[Step]
    nodes: list[TimedNode]
    folders: dict[str, list[int]] = field(default_factory=dict)  # folder → places

    @classmethod
    def read(cls, stored: dict[str, Any], nodes: list[Node]) -> Self:
        """Return the timeline that ``stored_timeline`` wrote; raise an error for other content."""
        steps = [
            Step(
                index=int(step["index"]),
                name=text(step["name"]),
                status=int(step["status"]),
                started_at=moment(step["started_at"]),
                finished_at=moment(step["finished_at"]),
            )
            for step in stored["steps"]
        ]
        entries = zip(nodes, stored["nodes"], strict=True)
        timed = [_timed(node, entry, len(nodes)) for node, entry in entries]
        folders = {
            text(folder): _places(places, len(nodes))
            for folder, places in stored.get("folders", {}).items()
        }
        return cls(moment(stored["origin"]), steps, timed, folders)


def _timed(node: Node, entry: list[Any], count: int) -> TimedNode:
    start, end, thread, rows, parents = entry
    is_timed = start is not None and end is not None
    return TimedNode(
        node=node,
        start=float(start) if is_timed else None,
        end=float(end) if is_timed else None,
        thread=None if thread is None else int(thread),
        rows=None if rows is None else int(rows),
        parents=None if parents is None else tuple(_places(parents, count)),
    )


def _places(stored: list[Any], count: int) -> list[int]:
    places = [int(one) for one in stored]
    if not all(0 <= one < count for one in places):
        raise ValueError(f"{stored} are not places in a list of {count} nodes")
    return places


def stored_timeline(results: Results, manifest: dict[str, Any] | None) -> dict[str, Any]:
    """Return what the run's file has of its timeline; the run must include its steps."""
    nodes = results.nodes
    origin = min((node.started_at for node in nodes if node.started_at), default=None)
    threads = thread_numbers(nodes)
    parents = parents_in_run(results, manifest)
    return {
        "origin": origin.isoformat() if origin else None,
        "steps": [_stored_step(step) for step in results.run.get("run_steps") or ()],
        "nodes": [
            [
                _seconds(origin, node.started_at),
                _seconds(origin, node.ended_at),
                threads.get((node.step, node.thread)),
                node.rows,
                parents.get(node.unique_id),
            ]
            for node in nodes
        ],
        "folders": folders_in_run(results, manifest),
    }


def thread_numbers(nodes: list[Node]) -> dict[tuple[int, str], int]:
    """Return step and name of a thread → its number from 1, by the first start in the step.

    dbt's own numbers count all threads of a process, which can run several commands.
    """
    started = sorted(
        (node.started_at, node.step, node.thread)
        for node in nodes
        if node.started_at and node.thread
    )
    numbers: dict[tuple[int, str], int] = {}
    counts: dict[int, int] = defaultdict(int)
    for _, step, thread in started:
        if (step, thread) not in numbers:
            counts[step] += 1
            numbers[step, thread] = counts[step]
    return numbers


def _stored_step(step: dict[str, Any]) -> dict[str, Any]:
    return {
        "index": int(number(step.get("index")) or 0),
        "name": text(step.get("name"))[:MAX_NAME],
        "status": int(number(step.get("status")) or 0),
        "started_at": text(step.get("started_at"))[:MAX_NAME],
        "finished_at": text(step.get("finished_at"))[:MAX_NAME],
    }


def _seconds(origin: datetime | None, at: datetime | None) -> float | None:
    return round((at - origin).total_seconds(), 2) if origin and at else None


def parents_in_run(results: Results, manifest: dict[str, Any] | None) -> dict[str, list[int]]:
    """Return unique id → places of its nearest ancestors in the run."""
    if not manifest:
        return {}
    places: dict[str, int] = {}
    for place, node in enumerate(results.nodes):
        places.setdefault(node.unique_id, place)
    known = every_node(record(manifest))
    depends_on = {
        unique_id: [text(one) for one in _listed(record(record(node).get("depends_on")))]
        for unique_id, node in known.items()
    }
    return {
        unique_id: sorted(places[one] for one in nearest(unique_id, depends_on, places))
        for unique_id in places.keys() & known.keys()
    }


def folders_in_run(results: Results, manifest: dict[str, Any] | None) -> dict[str, list[int]]:
    """Return folder → places of its nodes; those at the top of the dbt project are left out.

    The folder of a node in a package begins with the package's name.
    """
    known = every_node(record(manifest))
    project = text(record(record(manifest).get("metadata")).get("project_name"))
    folders: dict[str, list[int]] = defaultdict(list)
    for place, node in enumerate(results.nodes):
        fqn = record(known.get(node.unique_id)).get("fqn")
        above = [text(one) for one in fqn[:-1]] if isinstance(fqn, list) else []
        if folder := "/".join(above[1:] if above[:1] == [project] else above):
            folders[folder[:MAX_NAME]].append(place)
    return folders


def _listed(depends_on: dict[str, Any]) -> list[Any]:
    nodes = depends_on.get("nodes")
    return nodes if isinstance(nodes, list) else []


def nearest(node: T, parents: Mapping[T, Collection[T]], among: Collection[T]) -> set[T]:
    """Return the nearest ancestors among these nodes, as dbt waits for them.

    dbt runs a selected node after its selected ancestors, also if none between them is selected.
    """
    found: set[T] = set()
    seen: set[T] = {node}
    waiting = [*parents.get(node, ())]
    while waiting:
        parent = waiting.pop()
        if parent in seen:
            continue
        seen.add(parent)
        if parent in among:
            found.add(parent)
        else:
            waiting.extend(parents.get(parent, ()))
    return found

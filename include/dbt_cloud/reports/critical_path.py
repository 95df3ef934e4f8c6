"""The critical path of a run: the longest chain of nodes of which each waits for the one before.

With unlimited threads the nodes of a run take as long as this path.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

from .run_graph import Graph, graph_of_step, in_order
from .timeline import TimedNode, Timeline

MIN_WAIT = 0.1  # seconds; dbt itself needs some time between two nodes
BUSY = 0.9  # share of a wait in which all threads ran nodes
CLOCK_TOLERANCE = 1.0  # seconds


@dataclass(frozen=True)
class Link:
    """A node on the critical path.

    ``waited`` is the time between the end of the last node that it waits for and its own start,
    ``for_thread`` whether all threads ran other nodes then.
    """

    place: int
    seconds: float
    waited: float = 0.0
    for_thread: bool = False


@dataclass(frozen=True)
class CriticalPath:
    """The path over all steps, which run one after the other.

    ``wall_seconds`` is the time from first start to last end, summed over the steps; None if a
    node that ran has no times. ``left_out`` nodes wait for each other in a cycle, or for such a
    node. ``unknown`` nodes have no known parents. ``contradictions`` is the number of nodes whose
    times do not fit each other.
    """

    links: list[Link]
    graph: Graph
    wall_seconds: float | None
    threads: int
    left_out: int
    unknown: int
    contradictions: int

    @cached_property
    def seconds(self) -> float:
        return sum(link.seconds for link in self.links)

    @classmethod
    def of(cls, timeline: Timeline) -> CriticalPath:
        nodes = timeline.nodes
        links: list[Link] = []
        graph: Graph = {}
        walls: list[float | None] = []
        for places in by_step(nodes):
            waits_for = graph_of_step(nodes, places)
            graph |= waits_for
            here = [nodes[place] for place in places]
            links += [
                _link(nodes, here, waits_for[place], place) for place in longest(nodes, waits_for)
            ]
            walls.append(_wall_seconds(here))
        known = [wall for wall in walls if wall is not None]
        return cls(
            links=links,
            graph=graph,
            wall_seconds=sum(known) if len(known) == len(walls) else None,
            threads=len({node.thread for node in nodes if node.thread}),
            left_out=len(graph) - sum(1 for _ in in_order(graph)),
            unknown=sum(node.parents is None for node in nodes),
            contradictions=sum(is_contradictory(nodes, graph, place) for place in graph),
        )


def by_step(nodes: list[TimedNode]) -> Iterator[list[int]]:
    """Yield the places of each step's nodes."""
    places = sorted(range(len(nodes)), key=lambda place: nodes[place].node.step)
    for _, some in groupby(places, key=lambda place: nodes[place].node.step):
        yield list(some)


def busy_seconds(node: TimedNode) -> float:
    """Return the time from start to end, or dbt's own seconds if it is unavailable or negative.

    dbt's seconds of a microbatch model are the sum of batches that ran at the same time.
    """
    if node.start is not None and node.end is not None and node.end >= node.start:
        return node.end - node.start
    return max(node.node.seconds, 0.0)


def longest(nodes: list[TimedNode], graph: Graph) -> list[int]:
    """Return the chain with most seconds, without nodes that took no time."""
    ends: dict[int, float] = {}
    before: dict[int, int | None] = {}
    for place in in_order(graph):
        last = max(graph[place], key=lambda one: (ends[one], -one), default=None)
        before[place] = last
        ends[place] = busy_seconds(nodes[place]) + (0.0 if last is None else ends[last])
    found: list[int] = []
    end = max(ends, key=lambda one: (ends[one], -one), default=None)
    while end is not None:
        found.append(end)
        end = before[end]
    return [place for place in reversed(found) if busy_seconds(nodes[place])]


def _link(nodes: list[TimedNode], here: list[TimedNode], before: set[int], place: int) -> Link:
    """Return a node of the path; ``here`` are the nodes of its step."""
    node, seconds = nodes[place], busy_seconds(nodes[place])
    if node.start is None:
        return Link(place, seconds)
    ends = [end for one in before if (end := nodes[one].end) is not None]
    ready = max(ends) if ends else min(one.start for one in here if one.start is not None)
    waited = node.start - ready
    if waited < MIN_WAIT:
        return Link(place, seconds)
    overlaps = (
        min(one.end, node.start) - max(one.start, ready)
        for one in here
        if one is not node and one.start is not None and one.end is not None
    )
    busy = sum(overlap for overlap in overlaps if overlap > 0)
    threads = len({one.thread for one in here if one.thread}) or 1
    return Link(place, seconds, waited, busy >= BUSY * waited * threads)


def _wall_seconds(nodes: list[TimedNode]) -> float | None:
    ran = [node for node in nodes if node.start is not None or node.node.seconds > 0]
    starts = [node.start for node in ran if node.start is not None]
    ends = [node.end for node in ran if node.end is not None]
    if len(starts) < len(ran):
        return None
    return max(ends, default=0.0) - min(starts, default=0.0)


def is_contradictory(nodes: list[TimedNode], graph: Graph, place: int) -> bool:
    """Return whether a clock was probably changed while the node, or one before it, ran."""
    node = nodes[place]
    if node.start is None or node.end is None:
        return False
    surplus = node.end - node.start - node.node.seconds
    if node.end < node.start or surplus > max(CLOCK_TOLERANCE, 0.1 * node.node.seconds):
        return True
    ends = (nodes[one].end for one in graph[place])
    return any(end is not None and node.start < end - CLOCK_TOLERANCE for end in ends)

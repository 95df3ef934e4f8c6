"""Which nodes of a step wait for which others, as dbt orders them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from functools import reduce
from graphlib import CycleError, TopologicalSorter
from operator import and_

from ..api.artifacts import TESTS
from .timeline import TimedNode, nearest

TOLERANCE = 0.02  # seconds, since the file has rounded times
Graph = dict[int, set[int]]  # place of a node → places of the nodes that it waits for


def graph_of_step(nodes: list[TimedNode], places: list[int]) -> Graph:
    """Return what each node waits for: its nearest ancestors in the step and, in a build, tests.

    A step with models and tests is a build, or the retry of one.
    """
    here = {nodes[place].node.unique_id: place for place in places}
    # A node of another step only leads to its own ancestors.
    parents = {
        place: [here.get(nodes[one].node.unique_id, one) for one in node.parents or ()]
        for place, node in enumerate(nodes)
    }
    members = set(here.values())
    graph = {place: nearest(place, parents, members) for place in members}
    kinds = {nodes[place].node.kind for place in members}
    if kinds - {*TESTS}:
        _add_tests(nodes, graph)
        _add_unit_tests(nodes, graph)
    return graph


def _add_tests(nodes: list[TimedNode], graph: Graph) -> None:
    """Let descendants wait for the tests of their ancestors, as ``dbt build`` does.

    A test of several nodes delays the nodes that descend from all of them; of these, the first
    ones are enough. A wait that the times of the run contradict is left out, since parents of the
    test that were not selected are unavailable here.
    """
    built = {place: graph[place] for place in graph if nodes[place].node.kind not in TESTS}
    children, below = _children(built), _descendants(built)
    delays = {
        test: [*_first_of_all(graph[test], built, children, below)]
        for test in graph
        if nodes[test].node.kind == "test" and graph[test] <= built.keys()
    }
    for test, delayed in delays.items():
        for place in delayed:
            if not _contradicts(nodes[test], nodes[place]):
                graph[place].add(test)


def _first_of_all(
    tested: set[int], built: Graph, children: dict[int, list[int]], below: dict[int, int]
) -> Iterator[int]:
    """Yield the descendants of all tested nodes that have no parent among these descendants."""
    if not tested:
        return
    common = reduce(and_, (below[one] for one in tested))
    waiting = [min(tested, key=lambda one: below[one].bit_count())] if common else []
    seen: set[int] = set()
    while waiting:
        for child in children[waiting.pop()]:
            if child in seen:
                continue
            seen.add(child)
            if not common >> child & 1:
                waiting.append(child)
            elif not any(common >> parent & 1 for parent in built[child]):
                yield child


def _add_unit_tests(nodes: list[TimedNode], graph: Graph) -> None:
    """Let a model wait for its unit tests: ``dbt build`` runs them before it, one by one."""
    for test in sorted(place for place in graph if nodes[place].node.kind == "unit_test"):
        for model in [*graph[test]][:1]:  # its only parent
            if not _contradicts(nodes[test], nodes[model]):
                graph[test], graph[model] = graph[model], {test}


def _contradicts(before: TimedNode, after: TimedNode) -> bool:
    ended, started = before.end, after.start
    return ended is not None and started is not None and started < ended - TOLERANCE


def skipped_because(nodes: list[TimedNode], graph: Graph) -> dict[int, list[int]]:
    """Return failed node → skipped nodes that wait for it, directly or not."""
    children = _children(graph)
    found: dict[int, list[int]] = {}
    for failed in [place for place, node in enumerate(nodes) if node.node.has_failed]:
        below: set[int] = set()
        waiting = [failed]
        while waiting:
            new = {one for one in children[waiting.pop()] if nodes[one].node.is_skipped} - below
            below |= new
            waiting += new
        found[failed] = sorted(below)
    return found


def _children(graph: Graph) -> dict[int, list[int]]:
    children: dict[int, list[int]] = defaultdict(list)
    for place, parents in graph.items():
        for parent in parents:
            children[parent].append(place)
    return children


def _descendants(graph: Graph) -> dict[int, int]:
    """Return place → its descendants, as the bits of a number."""
    children = _children(graph)
    below = dict.fromkeys(graph, 0)
    for place in reversed([*in_order(graph)]):
        for child in children[place]:
            below[place] |= below[child] | 1 << child
    return below


def in_order(graph: Graph) -> Iterator[int]:
    """Yield the nodes, each after those that it waits for; omit cycles and what waits for them."""
    sorter = TopologicalSorter(graph)
    with suppress(CycleError):  # the sorter still yields the other nodes
        sorter.prepare()
    while ready := sorter.get_ready():
        yield from ready
        sorter.done(*ready)

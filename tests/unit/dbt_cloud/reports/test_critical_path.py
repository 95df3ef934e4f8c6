"""Tests of the critical path, with values that are worked out by hand.

``DIAMOND`` with two threads::

    second  0    1    2    3    4    5    6    7    8    9
    1       [a       ][b                 ][d        ]
    2       [e            ][c       ]

``d`` waits for ``b`` and ``c``, which wait for ``a``; ``e`` is alone. Longest chain: a (2 s),
b (4 s), d (2 s), so 8 s. ``c`` could start at 2 and starts at 3, since ``b`` and ``e`` run.
"""

from __future__ import annotations

from typing import Any

import pytest

from include.dbt_cloud.api.artifacts import Node
from include.dbt_cloud.reports.critical_path import CriticalPath
from include.dbt_cloud.reports.run_graph import skipped_because
from include.dbt_cloud.reports.timeline import TimedNode, Timeline


def node(
    name: str,
    start: float | None = None,
    end: float | None = None,
    thread: int | None = 1,
    parents: tuple[int, ...] | None = (),
    **more: Any,
) -> TimedNode:
    seconds = 0.0 if start is None or end is None else end - start
    unique_id = name if "." in name else f"model.shop.{name}"
    values = {"status": "success", "seconds": seconds, "message": "", "step": 4, **more}
    return TimedNode(Node(unique_id, **values), start, end, thread, None, parents)


DIAMOND = [
    node("a", 0, 2, 1),
    node("b", 2, 6, 1, (0,)),
    node("c", 3, 5, 2, (0,)),
    node("d", 6, 8, 1, (1, 2)),
    node("e", 0, 3, 2),
]


def path_of(nodes: list[TimedNode]) -> CriticalPath:
    return CriticalPath.of(Timeline(None, [], nodes))


def links(path: CriticalPath) -> list[tuple[int, float, float, bool]]:
    return [(one.place, one.seconds, one.waited, one.for_thread) for one in path.links]


def test_critical_path_is_the_longest_chain() -> None:
    path = path_of(DIAMOND)

    assert links(path) == [(0, 2, 0, False), (1, 4, 0, False), (3, 2, 0, False)]
    assert (path.seconds, path.wall_seconds, path.threads) == (8, 8, 2)
    assert (path.left_out, path.unknown, path.contradictions) == (0, 0, 0)


def test_critical_path_with_one_thread_is_shorter_than_the_run() -> None:
    """a 0-2, e 2-5, c 5-7, b 7-11, d 11-13: 13 s, of which 8 s on the path."""
    nodes = [
        node("a", 0, 2),
        node("b", 7, 11, 1, (0,)),
        node("c", 5, 7, 1, (0,)),
        node("d", 11, 13, 1, (1, 2)),
        node("e", 2, 5),
    ]

    path = path_of(nodes)

    assert (path.seconds, path.wall_seconds, path.threads) == (8, 13, 1)
    assert links(path) == [(0, 2, 0, False), (1, 4, 5, True), (3, 2, 0, False)]


def test_wait_while_a_thread_is_free_is_not_for_a_thread() -> None:
    """b could start at 2 and starts at 4; thread 2 is free from 3, so 3 of 4 seconds are busy."""
    nodes = [node("a", 0, 2), node("b", 4, 9, 1, (0,)), node("e", 0, 3, 2), node("f", 2, 4, 1)]

    assert links(path_of(nodes)) == [(0, 2, 0, False), (1, 5, 2, False)]


def test_critical_path_adds_up_steps_which_run_one_after_the_other() -> None:
    """Step 4: 3 s. Step 5: a again 1 s, then b 4 s, though b's parent is stored with step 4."""
    nodes = [
        node("a", 0, 3, 1),
        node("x", 0, 1, 2),
        node("a", 10, 11, 1, (), step=5),
        node("b", 11, 15, 1, (0,), step=5),
    ]

    path = path_of(nodes)

    assert [link.place for link in path.links] == [0, 2, 3]
    assert (path.seconds, path.wall_seconds) == (8, 8)


UNIQUE, BOTH = "test.shop.unique_a.f00", "test.shop.a_fits_b.f01"


def test_build_waits_for_the_tests_of_ancestors() -> None:
    """a 2 s, its test 3 s, b 1 s: b waits for the test, so the path has 6 s."""
    nodes = [node("a", 0, 2), node(UNIQUE, 2, 5, 1, (0,)), node("b", 5, 6, 1, (0,))]

    assert [link.place for link in path_of(nodes).links] == [0, 1, 2]
    assert path_of(nodes).seconds == 6


def test_test_of_two_nodes_delays_only_what_descends_from_both() -> None:
    """The test of a and b delays d (child of both), but neither c (child of a) nor b."""
    nodes = [
        node("a", 0, 1),
        node("b", 1, 2, 1, (0,)),
        node(BOTH, 2, 5, 1, (0, 1)),
        node("c", 1, 2, 2, (0,)),
        node("d", 5, 6, 1, (1, 3)),
    ]

    path = path_of(nodes)

    assert path.graph == {0: set(), 1: {0}, 2: {0, 1}, 3: {0}, 4: {1, 3, 2}}
    assert path.seconds == 1 + 1 + 3 + 1


def test_test_that_ended_later_does_not_delay_a_node() -> None:
    """The test has another parent outside the run: b started before its end."""
    nodes = [node("a", 0, 2), node(UNIQUE, 2, 5, 1, (0,)), node("b", 2, 3, 2, (0,))]

    assert path_of(nodes).graph[2] == {0}
    assert [link.place for link in path_of(nodes).links] == [0, 1]


def test_model_of_a_build_waits_for_its_unit_tests_one_by_one() -> None:
    """a 1 s, two unit tests of b with 2 s each, b 1 s: 6 s."""
    unit_tests = [node(f"unit_test.shop.b.{one}", 1 + 2 * one, 3 + 2 * one) for one in (0, 1)]
    nodes = [
        node("a", 0, 1),
        *(TimedNode(one.node, one.start, one.end, 1, None, (3,)) for one in unit_tests),
        node("b", 5, 6, 1, (0,)),
    ]

    path = path_of(nodes)

    assert [link.place for link in path.links] == [0, 1, 2, 3]
    assert path.seconds == 6


def test_nodes_without_times_count_dbts_seconds() -> None:
    """Fusion can omit the times: a 2 s and b 3 s are a path, without waits and wall time."""
    nodes = [node("a", seconds=2.0), node("b", parents=(0,), seconds=3.0), node("c", seconds=4.0)]

    path = path_of(nodes)

    assert links(path) == [(0, 2, 0, False), (1, 3, 0, False)]
    assert path.wall_seconds is None


def test_reused_and_skipped_nodes_take_no_time() -> None:
    nodes = [
        node("a", 0, 2),
        node("b", parents=(0,), status="reused"),
        node("c", 2, 5, 1, (1,)),
        node("d", parents=(2,), status="skipped"),
    ]

    path = path_of(nodes)

    assert [link.place for link in path.links] == [0, 2]
    assert (path.seconds, path.wall_seconds) == (5, 5)
    assert path_of([nodes[1]]).links == []


def test_cycle_is_left_out_and_counted() -> None:
    """b and c wait for each other and d for c, so only a (2 s) and e (1 s) can be ordered."""
    nodes = [
        node("a", 0, 2),
        node("b", 2, 9, 1, (2,)),
        node("c", 2, 9, 2, (1,)),
        node("d", 9, 12, 1, (2,)),
        node("e", 2, 3, 1, (0,)),
        node(UNIQUE, 3, 4, 1, (1,)),
    ]

    path = path_of(nodes)

    assert [link.place for link in path.links] == [0, 4]
    assert (path.seconds, path.left_out) == (3, 4)


@pytest.mark.parametrize(
    ("odd", "contradictions"),
    [
        (node("b", 2, -3598, 1, (0,), seconds=-3600.0), 1),  # back by an hour while it ran
        (node("b", 2, 3603, 1, (0,), seconds=1.0), 1),  # forward
        (node("b", -3598, -3597, 1, (0,)), 1),  # back before it
        (node("b", 2, 3, 1, (0,), seconds=8.0), 0),  # eight microbatches at once
    ],
)
def test_clock_jumps_are_counted_and_never_make_seconds_negative(
    odd: TimedNode, contradictions: int
) -> None:
    path = path_of([node("a", 0, 2), odd])

    assert path.contradictions == contradictions
    assert path.seconds >= 2


def test_nodes_missing_from_the_manifest_are_counted() -> None:
    path = path_of([node("a", 0, 2), node("b", 2, 5, 1, None)])

    assert ([link.place for link in path.links], path.unknown) == ([1], 1)


def test_path_without_nodes_is_empty() -> None:
    path = path_of([])

    assert (path.links, path.seconds, path.wall_seconds) == ([], 0, 0)


def test_node_of_a_day_beside_seconds_is_the_path() -> None:
    path = path_of([node("a", 0, 1), node("b", 0, 86400, 2), node("c", 1, 2, 1, (0,))])

    assert links(path) == [(1, 86400, 0, False)]


def test_skipped_nodes_belong_to_the_failures_above_them() -> None:
    """a fails: b and c are skipped. x fails too: c and y are skipped. z is not below a failure."""
    nodes = [
        node("a", 0, 1, status="error"),
        node("b", parents=(0,), status="skipped"),
        node("c", parents=(1, 3), status="skipped"),
        node("x", 0, 1, 2, status="error"),
        node("y", parents=(3,), status="skipped"),
        node("z", status="skipped"),
    ]

    assert skipped_because(nodes, path_of(nodes).graph) == {0: [1, 2], 3: [2, 4]}


def test_critical_path_of_ten_thousand_nodes() -> None:
    """Half of them are models, in layers of 50, and half tests, every fifth of two models."""
    nodes = []
    for place in range(5000):
        layer = place // 50
        parents = tuple({(layer - 1) * 50 + (place * 7 + one) % 50 for one in range(3) if layer})
        nodes.append(node(f"m{place}", layer * 2.0, layer * 2.0 + 1, place % 50 + 1, parents))
    for place in range(5000):
        layer = place // 50
        parents = (place, (place + 1) % 5000) if place % 5 == 0 else (place,)
        start = layer * 2.0 + 1
        nodes.append(node(f"test.shop.t{place}.f", start, start + 0.5, place % 50 + 1, parents))

    path = path_of(nodes)

    assert path.seconds == 100 * 1 + 100 * 0.5  # a model and a test of each layer

"""The nodes of a run's steps, for its page: what failed, and when each node was busy."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ..runs.run_folder import RunFolder

# Other commands, such as `dbt docs generate`, write results of compiling only.
BUILDING = frozenset({"build", "retry", "run", "seed", "snapshot", "test"})
FAILED = frozenset({"error", "fail", "runtime error", "partial success"})
WARNED = "warn"
STATES = {**dict.fromkeys(FAILED, "error"), WARNED: "warn", "skipped": "skipped"}
TESTS = ("test.", "unit_test.")
LANE = 20  # pixels
NARROWEST = 0.2  # percent


@dataclass(frozen=True)
class Bar:
    """A node; ``x`` and ``width`` are percentages of the step's time, ``lane`` counts from 0."""

    name: str
    status: str
    kind: str  # failed, warned, test or built
    seconds: float
    start: float | None = None
    lane: int = 0
    x: float = 0.0
    width: float = 0.0


@dataclass(frozen=True)
class FailedNode:
    """A failed node, and the names of the nodes that dbt skipped because of it."""

    step: int
    name: str
    status: str
    message: str
    sql: str  # path of its file among the step's artifacts; empty if dbt wrote none
    skipped: list[str]


@dataclass(frozen=True)
class StepNodes:
    """The nodes of a step in the order of their starts, those that dbt did not run at the end."""

    bars: list[Bar]
    threads: int
    seconds: float  # from the first start to the last end
    failures: list[FailedNode]

    @property
    def height(self) -> int:
        return LANE * self.threads


def nodes_of_steps(folder: RunFolder, indexes: Iterable[int]) -> dict[int, StepNodes]:
    """Return index → nodes, of the steps that built or tested any."""
    return {
        index: StepNodes(*_bars(results), [*_failures(folder, index, results)])
        for index, results in _results_of(folder, indexes)
    }


def lineage_of(folder: RunFolder, indexes: Iterable[int]) -> list[dict[str, Any]]:
    """Return each node with its last result, as ``lineage.js`` draws it; parents are places."""
    found: dict[str, dict[str, Any]] = {}
    manifest: dict[str, Any] = {}
    for index, results in _results_of(folder, indexes):
        found |= {one["unique_id"]: one for one in results}
        manifest |= _read(folder.artifacts(index) / "manifest.json")
    places = {unique_id: place for place, unique_id in enumerate(found)}
    nodes = manifest.get("nodes", {}) | manifest.get("unit_tests", {})
    return [
        {
            "unique_id": unique_id,
            "name": name_of(unique_id),
            "state": STATES.get(one["status"], "success"),
            "status": one["status"],
            "seconds": one.get("execution_time") or 0.0,
            "message": one.get("message") or "",
            "is_test": unique_id.startswith(TESTS),
            "parents": sorted(_nearest(unique_id, manifest.get("parent_map", {}), places)),
            "folder": "/".join(nodes.get(unique_id, {}).get("fqn", [])[1:-1]),
        }
        for unique_id, one in found.items()
    ]


def _nearest(unique_id: str, parents: dict[str, list[str]], places: dict[str, int]) -> set[int]:
    """Return the places of the nearest ancestors in the run."""
    found: set[int] = set()
    seen = {unique_id}
    waiting = [*parents.get(unique_id, ())]
    while waiting:
        one = waiting.pop()
        if one in seen:
            continue
        seen.add(one)
        if one in places:
            found.add(places[one])
        else:
            waiting += parents.get(one, ())
    return found


def _results_of(
    folder: RunFolder, indexes: Iterable[int]
) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """Yield index and results of the steps that built or tested nodes."""
    seen: set[str] = set()
    for index in indexes:
        artifact = _read(folder.artifacts(index) / "run_results.json")
        # A step without results of its own has a copy of those of the step before.
        invocation = str((artifact.get("metadata") or {}).get("invocation_id"))
        if (artifact.get("args") or {}).get("which") in BUILDING and invocation not in seen:
            seen.add(invocation)
            yield index, artifact.get("results") or []


def _read(file: Path) -> dict[str, Any]:
    """Return the artifact; empty if it is missing or another dbt wrote something else."""
    with suppress(OSError, ValueError):
        content = json.loads(file.read_text())
        return content if isinstance(content, dict) else {}
    return {}


def name_of(unique_id: str) -> str:
    """Return kind and name: ``model orders``, ``test unique_orders`` without the hash of its id."""
    kind, _, *names = unique_id.split(".")
    return f"{kind} {'.'.join(names[:1] if kind == 'test' else names)}"


def _bars(results: list[dict[str, Any]]) -> tuple[list[Bar], int, float]:
    """Return the bars, the number of threads, and the seconds from first start to last end."""
    spans = {number: span for number, one in enumerate(results) if (span := _span(one))}
    begin = min((start for start, _ in spans.values()), default=None)
    if begin is None:
        return [_bar(one) for one in results], 0, 0.0
    whole = (max(end for _, end in spans.values()) - begin).total_seconds() or 1.0
    order = sorted(spans, key=lambda number: spans[number])
    lanes = {thread: lane for lane, thread in enumerate(_distinct(results[one] for one in order))}
    drawn = []
    for number in order:
        one, (start, end) = results[number], spans[number]
        after = (start - begin).total_seconds()
        width = max(NARROWEST, 100 * (end - start).total_seconds() / whole)
        place = {"lane": lanes[one.get("thread_id")], "x": round(100 * after / whole, 2)}
        drawn.append(_bar(one, start=round(after, 2), width=round(width, 2), **place))
    rest = [_bar(one) for number, one in enumerate(results) if number not in spans]
    return drawn + rest, len(lanes), whole


def _distinct(results: Iterable[dict[str, Any]]) -> list[Any]:
    return list(dict.fromkeys(one.get("thread_id") for one in results))


def _bar(one: dict[str, Any], **place: Any) -> Bar:
    status = one["status"]
    is_test = one["unique_id"].startswith(TESTS)
    kind = "test" if is_test else "built"
    kind = "failed" if status in FAILED else "warned" if status == WARNED else kind
    return Bar(name_of(one["unique_id"]), status, kind, one.get("execution_time") or 0.0, **place)


def _span(one: dict[str, Any]) -> tuple[datetime, datetime] | None:
    """Return start and end of a node; None if dbt did not run it."""
    timing = one.get("timing") or ()
    starts = [part["started_at"] for part in timing if part.get("started_at")]
    ends = [part["completed_at"] for part in timing if part.get("completed_at")]
    if not starts or not ends:
        return None
    return datetime.fromisoformat(min(starts)), datetime.fromisoformat(max(ends))


def _failures(folder: RunFolder, index: int, results: list[dict[str, Any]]) -> Iterator[FailedNode]:
    failed = [one for one in results if one["status"] in FAILED]
    manifest = _read(folder.artifacts(index) / "manifest.json") if failed else {}
    skipped = {one["unique_id"] for one in results if one["status"] == "skipped"}
    for one in failed:
        unique_id = one["unique_id"]
        node = manifest.get("nodes", {}).get(unique_id, {})
        yield FailedNode(
            step=index,
            name=name_of(unique_id),
            status=one["status"],
            message=one.get("message") or "dbt gave no message.",
            sql="".join((node.get("compiled_path") or "").rpartition("compiled/")[1:]),
            skipped=sorted(map(name_of, _below(unique_id, manifest.get("child_map", {}), skipped))),
        )


def _below(unique_id: str, children: dict[str, list[str]], among: set[str]) -> set[str]:
    """Return the descendants that are connected through skipped nodes."""
    found: set[str] = set()
    waiting = [unique_id]
    while waiting:
        new = {*children.get(waiting.pop(), ())} & among - found
        found |= new
        waiting += new
    return found

"""The content of a run's page: what took its time, and what failed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from ..api.loose_json import moment
from ..api.runs import status_name
from ..reports.critical_path import CriticalPath, Link
from ..reports.history import History
from ..reports.results import Results
from ..reports.run_graph import skipped_because
from ..reports.timeline import Step, TimedNode, Timeline
from .content import FindDagRuns
from .gantt import Gantt
from .live_run import LiveRun
from .newest_runs import RecentRuns
from .runs import ACTIVE, Run, newest_first

RUN_IN_URL = re.compile(r"/runs/(\d{1,19})/?$")
# DuckDB and PostgreSQL, Snowflake and Databricks, Redshift, BigQuery
SQL_LINE = re.compile(
    r"\bLINE (\d+): |\bline (\d+)(?: at|,) pos|\bat line (\d+)\b|\bat \[(\d+):\d+\]", re.IGNORECASE
)


@dataclass(frozen=True)
class Failure:
    """A failed node and the nodes that were skipped because of it; ``line`` is one of its SQL."""

    name: str
    status: str
    message: str
    line: str
    skipped: list[str]
    unique_id: str


@dataclass(frozen=True)
class Phase:
    """A part of the run's time; ``x`` and ``width`` are percentages of the whole."""

    name: str
    seconds: float
    x: float
    width: float
    state: str = ""
    is_part: bool = False  # of the phase before


@dataclass(frozen=True)
class RunDetails:
    """A run. Without ``results`` it is not stored, without ``timeline`` by an earlier version.

    ``live`` is what an active run has done so far.
    """

    run: Run
    results: Results | None = None
    timeline: Timeline | None = None
    is_unreadable: bool = False
    phases: list[Phase] = field(default_factory=list)
    live: LiveRun = field(default_factory=LiveRun)

    @cached_property
    def nodes(self) -> list[TimedNode]:
        if self.timeline:
            return self.timeline.nodes
        return [TimedNode(node) for node in self.results.nodes] if self.results else []

    @cached_property
    def path(self) -> CriticalPath:
        return CriticalPath.of(self.timeline or Timeline(None, [], self.nodes))

    @cached_property
    def critical(self) -> dict[int, Link]:
        """Return place → link of the critical path; empty if no node has known parents."""
        is_known = self.path.unknown < len(self.nodes)
        return {link.place: link for link in self.path.links} if is_known else {}

    @cached_property
    def chart(self) -> Gantt | None:
        return Gantt.of(self.nodes or self.live.nodes, self.critical)

    @property
    def saved_seconds(self) -> float | None:
        """Return what unlimited threads would save; None if it is unknown."""
        path, run = self.path, self.run.seconds
        if not self.critical or path.wall_seconds is None or run is None or path.contradictions:
            return None
        return min(run, max(0.0, path.wall_seconds - path.seconds))

    @cached_property
    def failures(self) -> list[Failure]:
        return [
            Failure(
                name=self.called(place),
                status=self.nodes[place].node.status,
                message=self.nodes[place].node.message,
                line=sql_line(self.nodes[place].node.message),
                skipped=[self.called(one) for one in skipped],
                unique_id=self.nodes[place].node.unique_id,
            )
            for place, skipped in self._skipped.items()
        ]

    @cached_property
    def _skipped(self) -> dict[int, list[int]]:
        return skipped_because(self.nodes, self.path.graph)

    @property
    def other_skipped(self) -> int:
        """Return the number of skipped nodes that are below no failure."""
        skipped = {place for place, one in enumerate(self.nodes) if one.node.is_skipped}
        return len(skipped.difference(*self._skipped.values()))

    @property
    def failed_step(self) -> Step | None:
        steps = self.timeline.steps if self.timeline else []
        return next((step for step in steps if status_name(step.status) == "error"), None)

    def called(self, place: int) -> str:
        node = self.nodes[place].node
        return self.results.called(node) if self.results else node.unique_id


def path_of(run_url: str, recent: RecentRuns, history: History) -> str | None:
    """Return the path of a run's page below the page's root; None if the run is not known."""
    found = RUN_IN_URL.search(run_url)
    run_id = int(found[1]) if found else 0
    listed = {run["id"]: run for run in newest_first(recent.runs)}
    run = listed.get(run_id) or history.find(run_id)
    if not run or run.get("href") != run_url:
        return None
    return f"jobs/{run['job_definition_id']}/runs/{run_id}"


def sql_line(message: str) -> str:
    """Return the number of the SQL line that a warehouse's message names, or an empty text."""
    found = SQL_LINE.search(message)
    return next(filter(None, found.groups()), "") if found else ""


def run_details_of(
    job_id: int,
    run_id: int,
    recent: RecentRuns,
    history: History,
    dag_runs_of: FindDagRuns,
    read_live: Callable[[int], LiveRun],
) -> RunDetails | None:
    """Return a run's details; None if it is neither listed nor stored.

    ``read_live`` is called with the id of an active run that is not stored.
    """
    is_listed = run_id in history.runs(job_id)
    kept = history.timeline(job_id, run_id) if is_listed else None
    results, timeline = kept or (None, None)
    for run in newest_first(recent.runs, [results.run] if results else []):
        if (run["id"], run["job_definition_id"]) == (run_id, job_id):
            shown = Run.of(run, dag_runs_of([run]))
            live = read_live(run_id) if shown.is_active and not results else LiveRun()
            phases = scaled([*phases_of(run, timeline or live.timeline)])
            return RunDetails(shown, results, timeline, is_listed and not kept, phases, live)
    return None


Span = tuple[str, datetime, datetime, str, bool]


def phases_of(run: dict[str, Any], timeline: Timeline | None) -> Iterator[Span]:
    """Yield name, start, end, state and whether it is a part of the phase before."""
    created_at, started_at = moment(run.get("created_at")), moment(run.get("started_at"))
    if created_at and started_at:
        yield "Queued", created_at, started_at, "", False
    for step in timeline.steps if timeline else ():
        state = status_name(step.status)
        finished_at = step.finished_at or (datetime.now(UTC) if state in ACTIVE else None)
        if timeline and step.started_at and finished_at:
            yield step.name, step.started_at, finished_at, state, False
            yield from _parts_of(step, step.started_at, finished_at, timeline)


def _parts_of(
    step: Step, started_at: datetime, finished_at: datetime, timeline: Timeline
) -> Iterator[Span]:
    nodes = [one for one in timeline.nodes if one.node.step == step.index]
    starts = [one.start for one in nodes if one.start is not None]
    ends = [one.end for one in nodes if one.end is not None]
    if not timeline.origin or not starts or not ends:
        return
    first = timeline.origin + timedelta(seconds=min(starts))
    last = timeline.origin + timedelta(seconds=max(ends))
    yield "dbt's start-up", started_at, first, "", True
    yield "nodes", first, last, "", True
    yield "dbt's end", last, finished_at, "", True


def scaled(spans: list[Span]) -> list[Phase]:
    """Return the phases, without those that end before they start, as after a clock jump."""
    good = [span for span in spans if span[2] >= span[1]]
    if not good:
        return []
    begin, end = min(span[1] for span in good), max(span[2] for span in good)
    whole = (end - begin).total_seconds() or 1.0
    return [
        Phase(
            name,
            (ended - started).total_seconds(),
            round(100 * (started - begin).total_seconds() / whole, 3),
            max(0.2, round(100 * (ended - started).total_seconds() / whole, 3)),
            state,
            is_part,
        )
        for name, started, ended, state, is_part in good
    ]

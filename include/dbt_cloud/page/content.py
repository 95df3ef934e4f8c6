"""The content of the page's two views."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Self

from ..api.artifacts import Node
from ..api.node_names import distinct_names
from ..reports.dbt_docs import documented_projects, newest_docs
from ..reports.history import History
from ..reports.results import Results
from ..reports.run_times import COMPARED_RUNS as EARLIER_RUNS
from ..reports.run_times import RunTime
from .accounts import ShownAccount
from .job import Job
from .newest_runs import RecentRuns
from .runs import Run, newest_first
from .started_by import DagRun

LISTED = 30  # runs of each job, in the list of jobs
SHOWN = 50  # runs of one job
TESTS_OVER = 30  # runs
FindDagRuns = Callable[[list[dict[str, Any]]], dict[int, DagRun]]  # by the ids of their runs


@dataclass(frozen=True)
class Overview:
    """An account's jobs; empty if its connection cannot be read."""

    shown: ShownAccount
    jobs: list[Job] = field(default_factory=list)
    projects: list[int] = field(default_factory=list)
    is_kept: bool = True

    @classmethod
    def of(cls, shown: ShownAccount, dag_runs_of: FindDagRuns) -> Self:
        if not (history := shown.history):
            return cls(shown)
        jobs = jobs_of(shown.recent, history, dag_runs_of)
        return cls(shown, jobs, documented_projects(history.folder), bool(history.jobs()))


@dataclass(frozen=True)
class RecurringFailure:
    """A node that failed or warned, and its status in each run, oldest first."""

    name: str
    statuses: list[str]
    message: str


@dataclass(frozen=True)
class JobDetails:
    """A job with at least one run; ``compared`` are the runs of ``failures``, oldest first."""

    job: Job
    times: list[RunTime]
    failures: list[RecurringFailure]
    unreadable: int
    has_docs: bool
    compared: list[Run]


def jobs_of(recent: RecentRuns, history: History, dag_runs_of: FindDagRuns) -> list[Job]:
    """Return the jobs, those with the newest runs first, with deleted ones and those without."""
    kept = [run for job_id in history.jobs() for run in history.heads(job_id, LISTED)]
    runs = newest_first(recent.runs, kept)
    dag_runs = dag_runs_of(newest_of_each(runs))
    shown: dict[int, list[Run]] = defaultdict(list)
    for run in runs:
        some = shown[run["job_definition_id"]]
        if len(some) < LISTED:
            some.append(Run.of(run, dag_runs))
    for job_id in recent.listed.jobs:
        shown.setdefault(job_id, [])  # those without runs are last
    return [Job.of(job_id, some, recent.listed) for job_id, some in shown.items()]


def newest_of_each(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the newest run of each job, since only its Dag run is shown."""
    found: dict[int, dict[str, Any]] = {}
    for run in runs:
        found.setdefault(run["job_definition_id"], run)
    return list(found.values())


def details_of(
    job_id: int, recent: RecentRuns, history: History, dag_runs_of: FindDagRuns
) -> JobDetails | None:
    """Return a job's details; None if it has no run."""
    kept = history.results(job_id, SHOWN)
    merged = newest_first(recent.runs, (one.run for one in kept))
    runs = [run for run in merged if run["job_definition_id"] == job_id][:SHOWN]
    if not runs:
        return None
    dag_runs = dag_runs_of(runs)
    shown = [Run.of(run, dag_runs) for run in runs]
    unreadable = len(history.runs(job_id)[:SHOWN]) - len(kept)
    compared = [Run.of(one.run, {}) for one in reversed(kept[:TESTS_OVER])]
    return JobDetails(
        job=Job.of(job_id, shown, recent.listed),
        times=model_times(kept),
        failures=recurring_failures(kept[:TESTS_OVER]),
        unreadable=unreadable,
        has_docs=newest_docs(history.folder, shown[0].project_id) is not None,
        compared=compared,
    )


def model_times(kept: Iterable[Results]) -> list[RunTime]:
    """Return each model's newest and earlier run times, slower, unusual and slowest ones first.

    Each model is compared only with runs that built it.
    """
    seconds: dict[str, list[float]] = defaultdict(list)
    for results in kept:
        for unique_id, took in results.model_seconds.items():
            seconds[unique_id].append(took)
    names = distinct_names(seconds)
    times = [
        RunTime(names[unique_id], newest, earlier[:EARLIER_RUNS][::-1], unique_id)
        for unique_id, (newest, *earlier) in seconds.items()
    ]
    return sorted(
        times, key=lambda time: (time.is_slower, time.is_unusual, time.seconds), reverse=True
    )


def recurring_failures(kept: list[Results]) -> list[RecurringFailure]:
    """Return the nodes that failed or warned in any run, the latest ones first."""
    runs = [{node.unique_id: node for node in results.nodes} for results in kept]
    last: dict[str, Node] = {}
    for nodes in runs:
        for node in nodes.values():
            if node.has_failed_or_warned:
                last.setdefault(node.unique_id, node)
    names = distinct_names(last)
    return [
        RecurringFailure(
            name=f"{node.kind} {names[key]}",
            statuses=[nodes[key].status if key in nodes else "" for nodes in reversed(runs)],
            message=node.message,
        )
        for key, node in last.items()
    ]

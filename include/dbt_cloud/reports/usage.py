"""Models built per month, project and job, counted as dbt Cloud bills them.

https://docs.getdbt.com/docs/cloud/billing: each model that a run of a job builds successfully
counts, even if the run fails; tests, seeds, snapshots and ephemeral models do not. Months are UTC.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, TypeVar

from ..api.loose_json import identifier, moment, record, text
from .history import RUNS_PER_JOB, History, content_of, versions_in
from .stored_run import StoredRun

JOBS = 500  # cached
UNKNOWN = "unknown"
K = TypeVar("K")


@dataclass(frozen=True)
class ModelUsage:
    """A model's builds by a job in a month, such as ``2026-11``.

    ``month`` is ``unknown`` for runs without a time, ``project_id`` is 0 if it is unavailable.
    ``seconds`` is dbt's time of the builds, ``reused`` counts the times that dbt left the model as
    it was, since neither its code nor its data had changed.
    """

    month: str
    project_id: int
    job_id: int
    unique_id: str
    built: int
    reused: int
    seconds: float


@dataclass(frozen=True)
class RunBuilds:
    """A run, the models that it built, with dbt's seconds, and those that it reused."""

    run: dict[str, Any]
    built: list[tuple[str, float]]
    reused: list[str]


@dataclass(frozen=True)
class JobUsage:
    """What a job's stored runs built; ``begin`` is the start of the oldest one."""

    job_id: int
    name: str
    models: list[ModelUsage]
    begin: datetime | None
    stored: int
    unreadable: int

    def lacks_runs_of(self, month: str) -> bool:
        """Return whether runs of this month have probably been deleted as too old."""
        return self.stored >= RUNS_PER_JOB and month <= month_of(self.begin)


@dataclass(frozen=True)
class Total:
    built: int
    reused: int
    seconds: float


def read_usage(history: History) -> list[JobUsage]:
    """Return the usage of all jobs; a job is read again only if its files have changed."""
    versions = {
        job_id: versions_in(history.folder / str(job_id), ".json") for job_id in history.jobs()
    }
    return [_job_usage(history, job_id, tuple(files.items())) for job_id, files in versions.items()]


@lru_cache(maxsize=JOBS)
def _job_usage(history: History, job_id: int, files: tuple[tuple[int, str], ...]) -> JobUsage:
    """Return a job's usage; the files' versions are part of the cache's key."""
    kept = history.read_each(job_id, RUNS_PER_JOB, _read_builds)
    return job_usage(job_id, kept, len(files))


def _read_builds(job: Any, run_id: int, _version: str) -> RunBuilds:
    return builds_in(content_of(job, run_id))


def builds_in(stored: StoredRun) -> RunBuilds:
    models = [one for one in stored.nodes if one.unique_id.startswith("model.")]
    built = [(one.unique_id, one.seconds) for one in models if one.status == "success"]
    return RunBuilds(stored.run, built, [one.unique_id for one in models if one.status == "reused"])


def job_usage(job_id: int, kept: Iterable[RunBuilds], stored: int) -> JobUsage:
    """Return the sums over a job's readable runs, newest first, of ``stored`` files.

    Each success counts, also the second one of a run with two steps. A run counts in the month in
    which it started.
    """
    built: Counter[tuple[str, int, str]] = Counter()
    reused: Counter[tuple[str, int, str]] = Counter()
    seconds: dict[tuple[str, int, str], float] = defaultdict(float)
    runs = []
    for one in kept:
        runs.append(one.run)
        place = (month_of(begin_of(one.run)), identifier(one.run.get("project_id")) or 0)
        reused.update((*place, unique_id) for unique_id in one.reused)
        for unique_id, took in one.built:
            built[*place, unique_id] += 1
            seconds[*place, unique_id] += took
    names = (text(record(run.get("job")).get("name")) for run in runs)
    return JobUsage(
        job_id=job_id,
        name=next(filter(None, names), f"Job {job_id}"),
        models=[
            ModelUsage(month, project_id, job_id, unique_id, built[key], reused[key], seconds[key])
            for key in built | reused
            for month, project_id, unique_id in [key]
        ],
        begin=min(filter(None, map(begin_of, runs)), default=None),
        stored=stored,
        unreadable=stored - len(runs),
    )


def begin_of(run: dict[str, Any]) -> datetime | None:
    return moment(run.get("started_at")) or moment(run.get("created_at"))


def month_of(begin: datetime | None) -> str:
    return f"{begin:%Y-%m}" if begin else UNKNOWN


def totals(usages: Iterable[ModelUsage], key: Callable[[ModelUsage], K]) -> dict[K, Total]:
    """Return the sums for each value of the key."""
    sums: dict[K, Total] = {}
    for one in usages:
        before = sums.get(key(one), Total(0, 0, 0.0))
        sums[key(one)] = Total(
            before.built + one.built, before.reused + one.reused, before.seconds + one.seconds
        )
    return sums

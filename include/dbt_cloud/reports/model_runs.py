"""A model over the stored runs of its job: its seconds, rows and tests, and where it got slower."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import takewhile
from statistics import median
from typing import Any

from ..api.artifacts import TESTS
from .history import RUNS_PER_JOB, History, content_of
from .run_times import COMPARED_RUNS, RunTime, is_slower
from .stored_run import TIMELINE, StoredRun

MODEL_RUNS = 5_000  # cached: 25 models with 200 runs
LASTING = 3  # slower builds in a row, for a regression


@dataclass(frozen=True)
class ModelRun:
    """A model in one run, over all its steps.

    ``status`` and ``rows`` are those of the last step. ``rows`` is None if it is unavailable.
    ``tests`` has the statuses of the model's tests by their unique ids; it is None in files of
    earlier versions.
    """

    run: dict[str, Any]
    status: str
    seconds: float
    is_built: bool  # in each step
    rows: int | None
    tests: dict[str, str] | None


@dataclass(frozen=True)
class Regression:
    """Builds that are slower than usual: the place of the first, their number, and the medians."""

    place: int
    builds: int
    before: float
    after: float


def model_runs(history: History, job_id: int, unique_id: str) -> list[ModelRun]:
    """Return the runs that have the model, oldest first; log and skip unreadable files."""
    how = partial(_read_model_run, unique_id)
    return [*history.read_each(job_id, RUNS_PER_JOB, how)][::-1]


@lru_cache(maxsize=MODEL_RUNS)
def _read_model_run(unique_id: str, job: Any, run_id: int, _version: str) -> ModelRun | None:
    return model_run_in(unique_id, content_of(job, run_id))


def model_run_in(unique_id: str, stored: StoredRun) -> ModelRun | None:
    """Return the model in a run's file; None if the run does not have it."""
    nodes = {place: one for place, one in enumerate(stored.nodes) if one.unique_id == unique_id}
    if not nodes:
        return None
    places = set(nodes)
    timeline = TIMELINE.decode(stored.timeline)
    timed = timeline.nodes if timeline else []
    below = [
        stored.nodes[place]
        for place, one in enumerate(timed)
        if one.parents and not places.isdisjoint(one.parents)
    ]
    *_, (last, newest) = nodes.items()
    return ModelRun(
        run=stored.run,
        status=newest.status,
        seconds=sum(node.seconds for node in nodes.values()),
        is_built=all(node.status == "success" for node in nodes.values()),
        rows=timed[last].rows if timed else None,
        tests=None
        if timeline is None
        else {one.unique_id: one.status for one in below if one.kind in TESTS},
    )


def build_times(name: str, seconds: list[float]) -> list[RunTime]:
    """Return each build with the builds before it that it is compared with, oldest first."""
    return [
        RunTime(name, took, seconds[max(0, place - COMPARED_RUNS) : place])
        for place, took in enumerate(seconds)
    ]


def regressions(times: list[RunTime]) -> list[Regression]:
    """Return where a model got slower: three builds in a row, compared with those before the first.

    It lasts until a build is no longer slower than those, or for 20 builds: then the new time is
    the usual one.
    """
    found = []
    place = 0
    while place < len(times):
        usual = times[place].history
        slow = _slower(times[place : place + COMPARED_RUNS], usual)
        if len(slow) >= LASTING:
            found.append(Regression(place, len(slow), median(usual), median(slow)))
        place += len(slow) if len(slow) >= LASTING else 1
    return found


def _slower(times: Iterable[RunTime], usual: list[float]) -> list[float]:
    return [one.seconds for one in takewhile(lambda one: is_slower(one.seconds, usual), times)]

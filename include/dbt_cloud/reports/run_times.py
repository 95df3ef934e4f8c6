"""Compare a model's run time with its own earlier ones, to find slower models."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from statistics import median
from typing import Any

from ..api.client import DbtCloudClient
from .results import Results, results_of

COMPARED_RUNS = 20  # of the job
MIN_RUNS = 10  # for a comparison
# Iglewicz and Hoaglin, "How to Detect and Handle Outliers" (1993); see also
# https://www.itl.nist.gov/div898/handbook/eda/section3/eda35h.htm
MAX_SCORE = 3.5
MIN_RATIO, MIN_SECONDS = 1.2, 0.5  # smaller differences are irrelevant
# A hint to look at the model, from fewer runs
UNUSUAL_RUNS, UNUSUAL_RATIO, UNUSUAL_SECONDS = 3, 1.5, 0.1
HISTORY_PAGE, MAX_HISTORY_PAGES = 25, 40
SUCCESS_OR_ERROR = "[10,20]"  # cancelled runs have few results


@dataclass(frozen=True)
class RunTime:
    """One model's seconds in this run and in earlier runs (oldest first)."""

    name: str
    seconds: float
    history: list[float]
    unique_id: str = ""

    @property
    def median(self) -> float:
        return median(self.history) if self.history else 0.0

    @property
    def spread(self) -> float:
        return spread(self.history)

    @property
    def is_slower(self) -> bool:
        return is_slower(self.seconds, self.history)

    @property
    def ratio(self) -> float:
        """Return seconds by median; 0 without one."""
        return self.seconds / self.median if self.median else 0.0

    @property
    def is_unusual(self) -> bool:
        """Return whether it took 1.5 times the median of at least three runs, and 0.1 s more."""
        is_known = len(self.history) >= UNUSUAL_RUNS
        least = max(UNUSUAL_RATIO * self.median, self.median + UNUSUAL_SECONDS)
        return is_known and self.seconds >= least


def is_slower(seconds: float, history: list[float]) -> bool:
    """Return whether a run time is an outlier compared with at least ten earlier ones.

    Its modified z-score, ``0.6745 (x - median) / MAD``, must be above 3.5. MAD is the median
    absolute deviation, which a single slow run affects less than mean and standard deviation. The
    time must also be 20 % and half a second above the median.
    """
    if len(history) < MIN_RUNS:
        return False
    usual = median(history)
    more = seconds - usual
    if more < MIN_SECONDS or seconds < MIN_RATIO * usual:
        return False
    return 0.6745 * more > MAX_SCORE * spread(history)


def spread(history: list[float]) -> float:
    """Return the median absolute deviation, in seconds."""
    usual = median(history) if history else 0.0
    return median(abs(seconds - usual) for seconds in history) if history else 0.0


def compare(results: Results, earlier: Iterable[Results]) -> list[RunTime]:
    """Return the run times, slowest first; ``earlier`` runs are newest first."""
    history: dict[str, list[float]] = defaultdict(list)
    for run in earlier:
        for unique_id, seconds in run.model_seconds.items():
            history[unique_id].insert(0, seconds)
    times = [
        RunTime(results.names[unique_id], seconds, history[unique_id])
        for unique_id, seconds in results.model_seconds.items()
    ]
    return sorted(times, key=lambda time: time.seconds, reverse=True)


def earlier_results(client: DbtCloudClient, run: dict[str, Any]) -> list[Results]:
    """Return the job's last runs before this one, newest first."""
    before = (other for other in ended_runs(client, run) if other["id"] < run["id"])
    return [results_of(client, other) for other in islice(before, COMPARED_RUNS)]


def ended_runs(client: DbtCloudClient, run: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the job's finished runs with their steps, newest first."""
    return client.pages(
        "runs/",
        HISTORY_PAGE,
        MAX_HISTORY_PAGES,
        job_definition_id=run["job_definition_id"],
        status__in=SUCCESS_OR_ERROR,
        order_by="-id",
        include_related="run_steps",
    )

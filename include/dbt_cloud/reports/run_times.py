"""Did a model become slower? Its run time today against its own last runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from statistics import median
from typing import Any

from ..api.client import DbtCloudClient
from .results import Results, results_of

RUNS = 20  # how many of the job's last runs are read
MIN_RUNS = 10  # with fewer, nothing is said
# Iglewicz and Hoaglin, "How to Detect and Handle Outliers" (1993); see also
# https://www.itl.nist.gov/div898/handbook/eda/section3/eda35h.htm
MAX_SCORE = 3.5
MIN_RATIO, MIN_SECONDS = 1.2, 0.5  # less than that more is nobody's trouble
PAGE, MAX_PAGES = 25, 40
ENDED = "[10,20]"  # success and error; what a cancelled run measured says little


@dataclass(frozen=True)
class RunTime:
    """One model's seconds, today and in earlier runs (oldest first)."""

    name: str
    seconds: float
    history: list[float]

    @property
    def median(self) -> float:
        return median(self.history) if self.history else 0.0

    @property
    def spread(self) -> float:
        return spread(self.history)

    @property
    def is_slower(self) -> bool:
        return is_slower(self.seconds, self.history)


def is_slower(seconds: float, history: list[float]) -> bool:
    """Whether a run time stands out from at least ten earlier ones.

    It does if its modified z-score is above 3.5, ``0.6745 (x - median) / MAD``, where MAD is the
    median distance from the median: one slow run in the history does not blur it, as it would blur
    mean and standard deviation. It must also be a fifth and half a second above the median.
    """
    if len(history) < MIN_RUNS:
        return False
    usual = median(history)
    more = seconds - usual
    if more < MIN_SECONDS or seconds < MIN_RATIO * usual:
        return False
    return 0.6745 * more > MAX_SCORE * spread(history)


def spread(history: list[float]) -> float:
    """The median distance from the median, in seconds."""
    usual = median(history) if history else 0.0
    return median(abs(seconds - usual) for seconds in history) if history else 0.0


def compare(results: Results, earlier: Iterable[Results]) -> list[RunTime]:
    """Slowest first; ``earlier`` runs are newest first."""
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
    """The job's last runs before this one, newest first."""
    before = (other for other in ended_runs(client, run) if other["id"] < run["id"])
    return [results_of(client, other) for other in islice(before, RUNS)]


def ended_runs(client: DbtCloudClient, run: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Of the same job, with their steps, newest first, as far back as anybody looks."""
    return client.pages(
        "runs/",
        PAGE,
        MAX_PAGES,
        job_definition_id=run["job_definition_id"],
        status__in=ENDED,
        order_by="-id",
        include_related="run_steps",
    )

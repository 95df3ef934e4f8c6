"""The content of a model's page: its run times, rows and tests over the stored runs of a job."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property

from ..api.artifacts import has_failed
from ..api.loose_json import record, text
from ..api.node_names import distinct_names, short_name
from ..reports.history import History
from ..reports.model_runs import ModelRun, Regression, build_times, model_runs, regressions
from ..reports.run_times import RunTime
from .model_chart import WIDE, Plot, Tick, date_ticks, mark_of, rows_plot, seconds_plot
from .runs import Run


@dataclass(frozen=True)
class TestRow:
    """A test's status in each run, empty in runs without it."""

    name: str
    statuses: list[str]

    @property
    def failed(self) -> int:
        return sum(mark_of(status) == "error" for status in self.statuses)


@dataclass(frozen=True)
class ModelDetails:
    """A model and its runs, oldest first. A place is that of a run in the list."""

    job_id: int
    unique_id: str
    model_runs: list[ModelRun]

    @property
    def name(self) -> str:
        return short_name(self.unique_id)

    @property
    def job_name(self) -> str:
        names = (text(record(one.run.get("job")).get("name")) for one in reversed(self.model_runs))
        return next(filter(None, names), f"Job {self.job_id}")

    @cached_property
    def runs(self) -> list[Run]:
        return [Run.of(one.run, {}) for one in self.model_runs]

    @cached_property
    def times(self) -> dict[int, RunTime]:
        """Return place → run time, of the runs that built the model."""
        places = [place for place, one in enumerate(self.model_runs) if one.is_built]
        seconds = [self.model_runs[place].seconds for place in places]
        return dict(zip(places, build_times(self.name, seconds), strict=True))

    @cached_property
    def newest(self) -> RunTime | None:
        return next(reversed(self.times.values()), None)

    @cached_property
    def regressions(self) -> dict[int, Regression]:
        """Return place → the regression that begins there."""
        places = [*self.times]
        return {places[one.place]: one for one in regressions([*self.times.values()])}

    @cached_property
    def tests(self) -> list[TestRow]:
        """Return the tests, those with most failures first."""
        stored = [one.tests or {} for one in self.model_runs]
        names = distinct_names(sorted({unique_id for tests in stored for unique_id in tests}))
        rows = [
            TestRow(name, [tests.get(unique_id, "") for tests in stored])
            for unique_id, name in names.items()
        ]
        return sorted(rows, key=lambda row: row.failed, reverse=True)

    @property
    def lacking(self) -> int:
        """Return the number of runs that an earlier version stored, without rows and tests."""
        return sum(one.tests is None for one in self.model_runs)

    @cached_property
    def seconds_plot(self) -> Plot | None:
        return seconds_plot(self.times, len(self.runs))

    @cached_property
    def rows_plot(self) -> Plot | None:
        rows = {place: one.rows for place, one in enumerate(self.model_runs)}
        known = {place: count for place, count in rows.items() if count is not None and count >= 0}
        return rows_plot(known, len(self.runs))

    @property
    def is_wide(self) -> bool:
        return len(self.runs) > WIDE

    @property
    def dates(self) -> list[Tick]:
        return date_ticks([run.started_at for run in self.runs])

    def tests_of(self, place: int) -> str:
        """Return the results of the tests in a run, such as ``2 pass, 1 fail``."""
        counts = Counter((self.model_runs[place].tests or {}).values())
        ordered = sorted(counts.items(), key=lambda one: has_failed(one[0]))
        return ", ".join(f"{count} {status}" for status, count in ordered)


def model_details_of(job_id: int, unique_id: str, history: History) -> ModelDetails | None:
    """Return a model's details; None if no stored run of the job has the model."""
    if not unique_id.startswith("model."):
        return None
    runs = model_runs(history, job_id, unique_id)
    return ModelDetails(job_id, unique_id, runs) if runs else None

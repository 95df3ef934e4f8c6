"""The list of jobs as its address asks for it: filtered and sorted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Self
from urllib.parse import urlencode

from .content import Overview
from .job import NEVER_RUN, Job

# The order of states: what needs attention first
STATES = ("error", "running", "starting", "queued", "cancelled", "success", NEVER_RUN)
Key = Callable[[Job], Any]  # what a column is sorted by; None is always last
FILTERS: dict[str, Callable[[Job], str]] = {
    "project": lambda job: job.settings.project,
    "environment": lambda job: job.settings.environment,
    "state": lambda job: job.state,
}
COLUMNS: dict[str, Key] = {
    "name": lambda job: job.name.casefold(),
    "project": lambda job: job.settings.project.casefold() or None,
    "state": lambda job: STATES.index(job.state) if job.state in STATES else len(STATES),
    "run": lambda job: job.newest.id if job.newest else None,
    "duration": lambda job: job.median,
    "success": lambda job: job.success_rate,
    "next": lambda job: job.settings.next_run,
    "starter": lambda job: job.starter.casefold() or None,
}


@dataclass(frozen=True)
class View:
    """The address's parameters; ``sort`` is a column, with a minus for the reverse order."""

    connection: str = ""
    project: str = ""
    environment: str = ""
    state: str = ""
    name: str = ""
    sort: str = ""

    @classmethod
    def of(cls, parameters: Mapping[str, str]) -> Self:
        return cls(**{one.name: parameters.get(one.name, "").strip() for one in fields(cls)})

    @property
    def column(self) -> str:
        return self.sort.removeprefix("-")

    @property
    def is_filtered(self) -> bool:
        return any((self.project, self.environment, self.state, self.name))

    def link(self, **changes: str) -> str:
        """Return the address of the view with these changes; relative to the page."""
        given = {name: value for name, value in asdict(replace(self, **changes)).items() if value}
        return f"?{urlencode(given)}" if given else "./"

    def sorted_by(self, column: str) -> str:
        """Return the address of the view sorted by a column; in reverse if it already is."""
        return self.link(sort=f"-{column}" if self.sort == column else column)

    def order_of(self, column: str) -> str:
        """Return the value of ``aria-sort``."""
        if self.column != column:
            return "none"
        return "descending" if self.sort.startswith("-") else "ascending"

    def rows(self, jobs: list[Job]) -> list[Job]:
        """Return the jobs that match, in order; by default those with the newest runs first."""
        found = [job for job in jobs if self._shows(job)]
        if not (key := COLUMNS.get(self.column)):
            return found
        known = [job for job in found if key(job) is not None]
        known.sort(key=key, reverse=self.sort.startswith("-"))
        return known + [job for job in found if key(job) is None]

    def _shows(self, job: Job) -> bool:
        given = asdict(self)
        is_one = all(given[name] in ("", value(job)) for name, value in FILTERS.items())
        return is_one and self.name.casefold() in job.name.casefold()


@dataclass(frozen=True)
class JobTable:
    """The accounts with the view of their jobs; ``options`` are the values of each filter."""

    view: View
    overviews: list[Overview]
    options: dict[str, list[str]]

    @classmethod
    def of(cls, view: View, overviews: list[Overview]) -> Self:
        jobs = [job for one in overviews for job in one.jobs]
        options = {
            name: sorted({value(job) for job in jobs} - {""}) for name, value in FILTERS.items()
        }
        return cls(view, overviews, options)

    @property
    def problems(self) -> list[str]:
        """Return a sentence for each parameter that no job or column has."""
        given = asdict(self.view)
        found = [
            f"No job has the {name} {given[name]}."
            for name, values in self.options.items()
            if given[name] and given[name] not in values
        ]
        if self.view.column and self.view.column not in COLUMNS:
            names = ", ".join(COLUMNS)
            found.append(f"There is no column {self.view.column} to sort by: use one of {names}.")
        return found

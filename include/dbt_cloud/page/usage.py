"""The content of the page "Usage": models built per month, project and job."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cached_property
from urllib.parse import urlencode

from fastapi import HTTPException

from ..api.node_names import distinct_names
from ..reports.usage import UNKNOWN, JobUsage, ModelUsage, Total, read_usage, totals
from .accounts import ShownAccount

MODELS = 10  # in each list of expensive models
COLUMNS = ("month", "host", "account", "project", "job", "job_name", "model", "built", "reused")
# A spreadsheet runs a cell with one of these first as a formula.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


@dataclass(frozen=True)
class Choice:
    """What the address selects; an empty month is the newest one, no project all of them."""

    month: str = ""
    project: int | None = None
    connection: str = ""

    def query(self, **changes: str | int | None) -> str:
        """Return the query of the address of another choice."""
        values = {**asdict(self), **changes}
        chosen = {name: value for name, value in values.items() if value not in ("", None)}
        return f"?{urlencode(chosen)}"

    def includes(self, usage: ModelUsage) -> bool:
        return self.month in ("", usage.month) and self.project in (None, usage.project_id)


@dataclass(frozen=True)
class AccountUsage:
    """The usage of one account; without ``jobs`` if its connection cannot be read."""

    shown: ShownAccount
    jobs: list[JobUsage]
    choice: Choice

    @cached_property
    def all_models(self) -> list[ModelUsage]:
        return [model for job in self.jobs for model in job.models]

    @cached_property
    def models(self) -> list[ModelUsage]:
        """Return the usage of the chosen month and project."""
        return [model for model in self.all_models if self.choice.includes(model)]

    @property
    def projects(self) -> list[int]:
        return sorted({model.project_id for model in self.all_models})

    @property
    def months(self) -> dict[str, Total]:
        """Return the totals of the project's months, the newest one first."""
        project = Choice(project=self.choice.project)
        some = totals(filter(project.includes, self.all_models), lambda model: model.month)
        return {month: some[month] for month in sorted(some, key=order_of, reverse=True)}

    @cached_property
    def jobs_by_id(self) -> dict[int, JobUsage]:
        return {job.job_id: job for job in self.jobs}

    @property
    def by_job(self) -> dict[tuple[int, int], Total]:
        """Return job and project → total, those with most models first."""
        some = totals(self.models, lambda model: (model.job_id, model.project_id))
        return dict(sorted(some.items(), key=lambda item: item[1].built, reverse=True))

    @property
    def slowest(self) -> list[ModelUsage]:
        return sorted(self.models, key=lambda model: model.seconds, reverse=True)[:MODELS]

    @property
    def most_built(self) -> list[ModelUsage]:
        by_count = sorted(self.models, key=lambda model: (model.built, model.seconds), reverse=True)
        return by_count[:MODELS]

    @cached_property
    def names(self) -> dict[str, str]:
        return distinct_names({model.unique_id for model in self.models})

    @property
    def incomplete(self) -> list[str]:
        """Return the jobs of which runs of the chosen month have been deleted."""
        return [job.name for job in self.jobs if job.lacks_runs_of(self.choice.month)]

    @property
    def unreadable(self) -> int:
        return sum(job.unreadable for job in self.jobs)


def order_of(month: str) -> tuple[bool, str]:
    """Return a sort key in which an unknown month is before the others."""
    return month != UNKNOWN, month


def usage_of(accounts: Iterable[ShownAccount], choice: Choice) -> list[AccountUsage]:
    """Return the usage of the accounts, by default in the newest month that one of them has."""
    read = [(one, read_usage(one.history) if one.history else []) for one in accounts]
    months = {model.month for _, jobs in read for job in jobs for model in job.models}
    month = choice.month or max(months, key=order_of, default=UNKNOWN)
    chosen = Choice(month, choice.project, choice.connection)
    return [AccountUsage(shown, jobs, chosen) for shown, jobs in read]


def usage_csv(accounts: Iterable[ShownAccount], choice: Choice) -> bytes:
    """Return a row for each month, job and model; an empty month includes all months.

    Raises:
        HTTPException: The connection of an account cannot be read, so its rows are missing.
    """
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow([*COLUMNS, "seconds"])
    for shown in accounts:
        if not shown.history or not shown.account:
            raise HTTPException(503, f"Could not read {shown.conn_id}: {shown.recent.problem}")
        place = (as_text(shown.account.host), shown.account.id)
        for job in read_usage(shown.history):
            for model in filter(choice.includes, job.models):
                name = (job.job_id, as_text(job.name), as_text(model.unique_id))
                sums = (model.built, model.reused, round(model.seconds, 2))
                writer.writerow([model.month, *place, model.project_id, *name, *sums])
    return file.getvalue().encode(errors="replace")


def as_text(value: str) -> str:
    """Return a cell that no spreadsheet runs as a formula.

    >>> as_text("=1+1"), as_text("orders")
    ("'=1+1", 'orders')
    """
    return f"'{value}" if value.startswith(FORMULA) else value

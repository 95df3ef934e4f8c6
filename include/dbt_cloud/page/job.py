"""A job on the page: its settings and what its newest runs have in common."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from statistics import median
from typing import Self

from .job_list import JobList, JobSettings
from .runs import Run

NEVER_RUN = "never run"


@dataclass(frozen=True)
class Job:
    """A job with its newest runs, newest first; a listed job may have none."""

    id: int
    runs: list[Run]
    settings: JobSettings

    @classmethod
    def of(cls, job_id: int, runs: list[Run], listed: JobList) -> Self:
        """Return a job; one that is not listed has the name in its newest run that has one."""
        if found := listed.jobs.get(job_id):
            return cls(job_id, runs, found)
        name = next((run.job_name for run in runs if run.job_name), "")
        return cls(job_id, runs, listed.unlisted(name, runs[0].project_id, runs[0].environment_id))

    @property
    def name(self) -> str:
        return self.settings.name or f"Job {self.id}"

    @property
    def newest(self) -> Run | None:
        return self.runs[0] if self.runs else None

    @property
    def state(self) -> str:
        return self.runs[0].state if self.runs else NEVER_RUN

    @property
    def starter(self) -> str:
        """Return who started the newest run; without a run what starts it, by its settings."""
        if not self.runs:
            return self.settings.starts
        dag_run = self.runs[0].dag_run
        return dag_run.dag_id if dag_run else self.runs[0].starter

    @property
    def seconds(self) -> list[float]:
        """Return the run times of the finished runs that started, newest first."""
        return [run.final_seconds for run in self.runs if run.final_seconds is not None]

    def line(self, most: int) -> list[float | None]:
        """Return the run times of the last runs, oldest first; None for those without."""
        times = [run.final_seconds for run in self.runs[:most]]
        return [*(most - len(times)) * [None], *reversed(times)]

    @property
    def median(self) -> float | None:
        return median(self.seconds) if self.seconds else None

    @property
    def counts(self) -> str:
        """Return the number of runs in each state, such as ``27 success, 3 error``."""
        counted = Counter(run.state for run in self.runs).most_common()
        return ", ".join(f"{count} {state}" for state, count in counted)

    @property
    def finished(self) -> list[Run]:
        return [run for run in self.runs if not run.is_active]

    @property
    def success_rate(self) -> float | None:
        """Return the share of the finished runs that succeeded, from 0 to 1."""
        succeeded = sum(run.state == "success" for run in self.finished)
        return succeeded / len(self.finished) if self.finished else None

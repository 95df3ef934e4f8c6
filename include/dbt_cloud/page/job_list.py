"""The jobs of an account as dbt Cloud lists them, cached for a minute for all viewers."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Self

from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudHook

from ..airflow.compat import AirflowException
from ..api.accounts import Account
from ..api.client import DbtCloudClient
from ..api.jobs import MAX_LIST_PAGES, list_jobs
from ..api.loose_json import identifier, moment, record, text
from ..api.runs import PAGE
from .started_by import COMPLETION, MERGE, PULL_REQUEST, SCHEDULE

SECONDS = 60.0  # lifetime of a good or failed result
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class JobSettings:
    """A job of the list. ``starts`` is what starts it without a person or an API call."""

    name: str
    project: str
    environment: str
    next_run: datetime | None = None
    starts: str = ""


@dataclass(frozen=True)
class JobList:
    """The jobs by id, and the names of their projects and environments by id.

    With a ``problem`` they are those of the last good result.
    """

    jobs: dict[int, JobSettings] = field(default_factory=dict)
    projects: dict[int, str] = field(default_factory=dict)
    environments: dict[int, str] = field(default_factory=dict)
    problem: str = ""

    @classmethod
    def of(cls, jobs: Iterable[Any], projects: Iterable[Any]) -> Self:
        """Return the jobs that have valid ids; other invalid fields are empty."""
        listed = {key: job for job in map(record, jobs) if (key := identifier(job.get("id")))}
        environments = _names(job.get("environment") for job in listed.values())
        names = cls({}, _names(projects), environments)
        return replace(names, jobs={key: names._settings(job) for key, job in listed.items()})

    def unlisted(self, name: str, project_id: int, environment_id: int) -> JobSettings:
        """Return the settings of a job that is not in the list, such as a deleted one."""
        return JobSettings(name, self.project(project_id), self.environment(environment_id))

    def _settings(self, job: dict[str, Any]) -> JobSettings:
        return JobSettings(
            name=text(job.get("name")),
            project=self.project(identifier(job.get("project_id"))),
            environment=self.environment(identifier(job.get("environment_id"))),
            next_run=moment(job.get("next_run")),
            starts=_starts(job),
        )

    def project(self, project_id: int | None) -> str:
        known = self.projects.get(project_id or 0)
        return known or (f"Project {project_id}" if project_id else "")

    def environment(self, environment_id: int | None) -> str:
        known = self.environments.get(environment_id or 0)
        return known or (f"Environment {environment_id}" if environment_id else "")


class JobListReader:
    """Reads the list at most every minute. Its caller makes one call at a time."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._account: Account | None = None
        self._read_at = 0.0
        self._listed = JobList()

    def read(self, hook: DbtCloudHook, client: DbtCloudClient) -> JobList:
        """Return the jobs of the client's account; after a failed call, those of the last one."""
        is_known = self._account == client.account
        if is_known and self._clock() < self._read_at + SECONDS:
            return self._listed
        before = self._listed if is_known else JobList()
        self._account, self._listed = client.account, _call(hook, client, before)
        self._read_at = self._clock()
        return self._listed


def _call(hook: DbtCloudHook, client: DbtCloudClient, before: JobList) -> JobList:
    try:
        # dbt Cloud's API v2 lists projects too, but that is deprecated.
        v3 = DbtCloudClient(hook, client.account_id, retry_seconds=0, version="v3")
        projects = list(v3.pages("projects/", PAGE, MAX_LIST_PAGES))
        return JobList.of(list_jobs(client, include_related="environment"), projects)
    except (AirflowException, TypeError, ValueError) as error:  # TypeError: the data is no list
        log.warning("Could not read the jobs of %s: %s", client.account, error)
        return replace(before, problem=f"{error}".strip() or type(error).__name__)


def _names(listed: Iterable[Any]) -> dict[int, str]:
    found = {identifier(one.get("id")): text(one.get("name")) for one in map(record, listed)}
    return {key: name for key, name in found.items() if key}


def _starts(job: dict[str, Any]) -> str:
    triggers = record(job.get("triggers"))
    if triggers.get("schedule") is True:
        return SCHEDULE
    if record(job.get("job_completion_trigger_condition")):
        return COMPLETION
    if triggers.get("on_merge") is True:
        return MERGE
    webhooks = ("github_webhook", "git_provider_webhook")
    return PULL_REQUEST if any(triggers.get(name) is True for name in webhooks) else ""

"""Jobs of an account: list them, and find one by its names."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudHook

from ..airflow.compat import AirflowFailException
from .client import DbtCloudClient
from .responses import NOT_FOUND, DbtCloudRefusedError
from .runs import PAGE

MAX_LIST_PAGES = 100
MAX_NAMED = 5  # names in an error message


@dataclass(frozen=True)
class JobName:
    """The names that identify a job in the account of a connection."""

    conn_id: str
    account_id: int
    project_name: str
    environment_name: str
    job_name: str


# Of this process. A failed search is not kept.
JOB_IDS: dict[JobName, int] = {}


def find_job_id(hook: DbtCloudHook, client: DbtCloudClient, name: JobName) -> int:
    """Return the id of a job, from ``JOB_IDS`` if it has been found before.

    Raises:
        AirflowFailException: No job has these names, or several have.
    """
    if name not in JOB_IDS:
        JOB_IDS[name] = _search(hook, client, name)
    return JOB_IDS[name]


def id_of(job_id: Any) -> int:
    """Return a job's id, which a template renders as text."""
    try:
        return int(job_id)
    except (TypeError, ValueError):
        raise AirflowFailException(f"job_id must be a number (got {job_id!r}).") from None


def list_jobs(client: DbtCloudClient, **filters: Any) -> list[dict[str, Any]]:
    """Return the active jobs, by id; ``filters`` are those of dbt Cloud's list."""
    given = {name: value for name, value in filters.items() if value is not None}
    return list(client.pages("jobs/", PAGE, MAX_LIST_PAGES, order_by="id", **given))


def get_job(client: DbtCloudClient, job_id: int) -> dict[str, Any]:
    """Return a job; raise ``DbtCloudRefusedError`` that names it if it was deleted."""
    try:
        job: dict[str, Any] = client.get(f"jobs/{job_id}/")
    except DbtCloudRefusedError as refusal:
        raise explained(refusal, job_id) from None
    return job


def completion_condition(job: dict[str, Any]) -> dict[str, Any]:
    """Return the condition under which another job's run starts this one; empty without one."""
    return (job.get("job_completion_trigger_condition") or {}).get("condition") or {}


def explained(refusal: DbtCloudRefusedError, job_id: int) -> DbtCloudRefusedError:
    """Return the refusal of a call about a job; a 404 with the job's id."""
    if refusal.status != NOT_FOUND:
        return refusal
    reason = f"job {job_id} does not exist, was deleted, or is not visible to this token"
    return DbtCloudRefusedError(NOT_FOUND, reason)


def similar(name: str, names: Iterable[str]) -> str:
    """Return the most similar names, or the first few, as text for an error message."""
    every = sorted(set(names))
    near = get_close_matches(name, every, n=MAX_NAMED, cutoff=0.4) or every[:MAX_NAMED]
    return quoted(near) or "none"


def quoted(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in names)


def _search(hook: DbtCloudHook, client: DbtCloudClient, name: JobName) -> int:
    # dbt Cloud's API v2 lists projects too, but that is deprecated.
    projects = DbtCloudClient(hook, client.account_id, version="v3")
    every_project = projects.pages("projects/", PAGE, MAX_LIST_PAGES)
    project = _only("project", name.project_name, list(every_project))
    jobs = list_jobs(client, project_id=project["id"], include_related="environment")
    environments = {job["environment"]["name"] for job in jobs}
    if name.environment_name not in environments:
        raise _not_found("environment with jobs", name.environment_name, environments)
    jobs = [job for job in jobs if job["environment"]["name"] == name.environment_name]
    job_id: int = _only("job", name.job_name, jobs)["id"]
    return job_id


def _only(kind: str, name: str, listed: Collection[dict[str, Any]]) -> dict[str, Any]:
    found = [one for one in listed if one["name"] == name]
    if len(found) > 1:
        ids = ", ".join(str(one["id"]) for one in found)
        raise AirflowFailException(
            f"dbt Cloud has {len(found)} {kind}s named {name!r}: {ids}. Set job_id instead."
        )
    if not found:
        raise _not_found(kind, name, [one["name"] for one in listed])
    return found[0]


def _not_found(kind: str, name: str, names: Iterable[str]) -> AirflowFailException:
    return AirflowFailException(
        f"dbt Cloud has no {kind} named {name!r}; similar names: {similar(name, names)}."
    )

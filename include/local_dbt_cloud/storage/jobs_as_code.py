"""The YAML of dbt-jobs-as-code, in the form of ``jobs.yaml``.

It has jobs only, by identifier: projects and environments are made from the ids that they name.
https://github.com/dbt-labs/dbt-jobs-as-code
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

from jinja2 import Environment, TemplateError, meta

# Of dbt-jobs-as-code itself, or read here
NOT_OF_A_JOB = {
    "account_id",
    "custom_environment_variables",
    "id",
    "identifier",
    "linked_id",
    "state",
}
DELETED = 2


def is_jobs_as_code(content: Any) -> bool:
    return isinstance(content, dict) and isinstance(content.get("jobs"), dict)


def template_variables(text: str) -> set[str]:
    """Return the variables of a templated file, whose values are in another file."""
    try:
        return meta.find_undeclared_variables(Environment().parse(text))
    except TemplateError:
        return set()


def jobs_in(content: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return identifier → job without deleted ones; raise ValueError for another content."""
    if others := content.keys() - {"account_id", "jobs"}:
        raise ValueError(f"{min(others)} is not known beside jobs")
    for name, job in content["jobs"].items():
        if not isinstance(job, dict):
            raise ValueError(f"the job {name} has no settings")
    home = {"account_id": content.get("account_id")}
    jobs = {name: home | job for name, job in content["jobs"].items()}
    return {name: job for name, job in jobs.items() if job.get("state") != DELETED}


def as_jobs_file(jobs: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the content of a ``jobs.yaml``; raise ValueError unless one account has all jobs.

    A job without ``linked_id`` gets the next free number as its id.
    """
    accounts = {f"{job['account_id']}" for job in jobs.values()}
    if len(accounts) != 1 or "None" in accounts:
        raise ValueError("all jobs must have the same account_id: start a server for each account")
    (account_id,) = accounts
    ids = dict(zip(jobs, _ids(list(jobs.values())), strict=True))
    return {
        "account": {"id": account_id, "name": f"Account {account_id}"},
        "projects": [{"id": one, "name": f"Project {one}"} for one in _named(jobs, "project_id")],
        "environments": list(_environments(jobs)),
        "jobs": [
            {"id": ids[name]} | {k: v for k, v in job.items() if k not in NOT_OF_A_JOB}
            for name, job in jobs.items()
        ],
        "variables": [
            {"job_id": ids[name], "name": variable, "value": _text(value)}
            for name, job in jobs.items()
            for pair in job.get("custom_environment_variables") or ()
            for variable, value in pair.items()
        ],
    }


def _ids(jobs: list[dict[str, Any]]) -> Iterator[Any]:
    taken = {f"{job['linked_id']}" for job in jobs if job.get("linked_id")}
    free = (number for number in count(1) if f"{number}" not in taken)
    return (job.get("linked_id") or next(free) for job in jobs)


def _named(jobs: dict[str, Any], field: str) -> list[Any]:
    """Return the values of a field over all jobs, each once."""
    return list(dict.fromkeys(job[field] for job in jobs.values() if job.get(field)))


def _environments(jobs: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield each environment that a job runs in or defers to, with a schema of its own."""
    homes = {
        job[field]: job.get("project_id")
        for field in ("deferring_environment_id", "environment_id")
        for job in jobs.values()
        if job.get(field)
    }
    for environment_id in sorted(homes, key=str):
        yield {
            "id": environment_id,
            "project_id": homes[environment_id],
            "name": f"Environment {environment_id}",
            "schema": f"environment_{environment_id}",
        }


def _text(value: Any) -> str:
    """Return a value as an environment variable has it."""
    return f"{value}".lower() if isinstance(value, bool) else f"{value}"

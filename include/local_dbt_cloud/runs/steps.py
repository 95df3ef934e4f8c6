"""The steps of a run, with dbt Cloud's names and order, and dbt's profile for them.

CONTRACT.md, section 2, lists the names in order.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from include.local_dbt_cloud.storage.schemas import Environment, Job, RunRequest

CLONE = "Clone git repository"
PROFILE = "Create profile from connection DuckDB"
DEPS, FRESHNESS, DOCS = "dbt deps", "dbt source freshness", "dbt docs generate"
SETUP = 3  # every run starts with clone, profile and deps
LONGEST_RUN = 86400  # seconds; dbt Cloud's limit for an account
LOCK_ATTEMPTS = 7  # an Airflow task may hold the warehouse: dbt waits 1, 2, 4 ... seconds


@dataclass(frozen=True)
class Step:
    """``command`` is None for the two steps that dbt does not run.

    ``must_succeed`` is false for the two checkboxes of a job, docs and source freshness.
    ``resumes`` marks the step that continues a failed run with ``dbt retry``.
    """

    name: str
    command: str | None = None
    must_succeed: bool = True
    resumes: bool = False


def dbt_step(command: str, must_succeed: bool = True) -> Step:
    return Step(f"Invoke dbt with `{command}`", command, must_succeed)


def plan(job: Job, request: RunRequest) -> list[Step]:
    """Return all steps of a run of ``job``, in order."""
    generate_docs = job.generate_docs
    if request.generate_docs_override is not None:
        generate_docs = request.generate_docs_override
    steps = [Step(CLONE), Step(profile_step_name(request)), dbt_step(DEPS)]
    if job.run_generate_sources:
        steps.append(dbt_step(FRESHNESS, must_succeed=False))
    steps += [dbt_step(command) for command in request.steps_override or job.execute_steps]
    if generate_docs:
        steps.append(dbt_step(DOCS, must_succeed=False))
    return steps


def plan_retry(steps: list[Step], failed_index: int) -> list[Step]:
    """Return the steps from the failed one (counted from 1) on; ``dbt retry`` resumes it.

    The name keeps the original command, because dbt Cloud's name is not documented.
    """
    failed = steps[failed_index - 1]
    return [*steps[:SETUP], replace(failed, resumes=True), *steps[failed_index:]]


def profile_step_name(request: RunRequest) -> str:
    if request.schema_override:
        return f"{PROFILE} (override schema to '{request.schema_override}')"
    return PROFILE


def timeout_seconds(job: Job, request: RunRequest) -> int:
    """Return the time limit of a run; 0 in the job means the account's limit."""
    seconds = request.timeout_seconds_override
    return (job.execution.timeout_seconds if seconds is None else seconds) or LONGEST_RUN


def profile_yaml(name: str, output: dict[str, Any], target: str) -> str:
    """Return the content of ``profiles.yml``."""
    profile = {"target": target, "outputs": {target: output}}
    return yaml.safe_dump({name: profile}, sort_keys=False)


def profile_name(dbt_project: Path) -> str:
    """Return the profile name in ``dbt_project.yml``."""
    content = yaml.safe_load((dbt_project / "dbt_project.yml").read_text())
    return str(content["profile"])


def target_name(job: Job, request: RunRequest) -> str:
    return request.target_name_override or job.settings.target_name


def profile_output(
    job: Job, environment: Environment, request: RunRequest, warehouse: Path
) -> dict[str, Any]:
    """Return the warehouse's output, with the trigger's overrides.

    The path is relative to the data folder, where dbt runs: if the profile changed whenever the
    folder moves, dbt would parse the whole project again.
    """
    schema = request.schema_override or _pull_request_schema(job, request)
    return {
        "type": "duckdb",
        "path": warehouse.name,
        "schema": schema or environment.schema_name,
        "threads": request.threads_override or job.settings.threads,
        "retries": {
            "connect_attempts": LOCK_ATTEMPTS,
            "retryable_exceptions": ["IOException"],
        },
    }


def _pull_request_schema(job: Job, request: RunRequest) -> str | None:
    """Return a schema beside production's for a pull request; None for other runs."""
    number = request.pull_request
    return None if number is None else f"dbt_cloud_pr_{job.id}_{number}"

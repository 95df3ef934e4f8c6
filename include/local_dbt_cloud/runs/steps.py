"""The steps of a run, with dbt Cloud's names and order.

CONTRACT.md, section 2, lists the names in order.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..storage.schemas import Job, RunRequest

CLONE = "Clone git repository"
DEPS, FRESHNESS, DOCS = "dbt deps", "dbt source freshness", "dbt docs generate"
SETUP = 3  # every run starts with clone, profile and deps
LONGEST_RUN = 86400  # seconds; dbt Cloud's limit for an account


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


def plan(job: Job, request: RunRequest, connection: str) -> list[Step]:
    """Return all steps of a run of ``job``, in order; ``connection`` is the connection's name."""
    generate_docs = job.generate_docs
    if request.generate_docs_override is not None:
        generate_docs = request.generate_docs_override
    steps = [Step(CLONE), Step(profile_step_name(connection, request)), dbt_step(DEPS)]
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


def profile_step_name(connection: str, request: RunRequest) -> str:
    name = f"Create profile from connection {connection}"
    if request.schema_override:
        return f"{name} (override schema to '{request.schema_override}')"
    return name


def timeout_seconds(job: Job, request: RunRequest) -> int:
    """Return the time limit of a run; 0 in the job means the account's limit."""
    seconds = request.timeout_seconds_override
    return (job.execution.timeout_seconds if seconds is None else seconds) or LONGEST_RUN

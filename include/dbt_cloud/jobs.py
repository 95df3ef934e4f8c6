"""Run many jobs: find them, follow those that dbt Cloud starts itself, and report on all."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudHook

from .airflow.compat import AirflowFailException
from .api.client import DbtCloudClient
from .api.jobs import completion_condition, id_of, list_jobs, quoted, similar
from .run.triggered import DbtCloudFollowTriggeredRunOperator

__all__ = [
    "DbtCloudFollowTriggeredRunOperator",
    "find_jobs",
    "summarize_jobs",
    "triggered_jobs",
]

LEVELS = "levels"  # the XCom of the task that finds the jobs
CHECKS_PULL_REQUESTS = "ci"
log = logging.getLogger(__name__)


def find_jobs(
    ti: Any,
    dbt_cloud_conn_id: str = DbtCloudHook.default_conn_name,
    *,
    names: str | Sequence[str] | None = None,
    job_ids: Sequence[int | str] | None = None,
    project_id: int | None = None,
    environment_id: int | None = None,
    levels: int = 1,
    account_id: int | None = None,
) -> list[dict[str, Any]]:
    """Return the arguments of the first mapped task: the jobs that Airflow starts.

    Found jobs that dbt Cloud starts after another found job are for ``triggered_jobs``.

    Args:
        ti: The running task instance, which keeps the levels.
        dbt_cloud_conn_id: The connection to dbt Cloud.
        names: A pattern such as ``finance_*``, or several; upper and lower case differ.
        job_ids: Ids of jobs, each of which must exist.
        project_id: Only jobs of this project.
        environment_id: Only jobs of this environment.
        levels: The number of mapped tasks in the Dag: the longest chain of completion triggers.
        account_id: By default the connection's login.

    Raises:
        AirflowFailException: No job fits, a job has no commands, or the chains do not fit.
    """
    if names is None and not any((job_ids, project_id, environment_id)):
        raise AirflowFailException("Give names, job_ids, project_id or environment_id of the jobs.")
    patterns = [names] if isinstance(names, str) else names
    ids = None if job_ids is None else [id_of(job_id) for job_id in job_ids]
    client = DbtCloudClient(DbtCloudHook(dbt_cloud_conn_id), account_id)
    filters = {"project_id": project_id, "environment_id": environment_id}
    listed = list_jobs(client, **filters)
    found = [job for job in listed if _fits(job, patterns, ids)]
    check_found(found, listed, {**filters, "names": names, "job_ids": ids})
    ti.xcom_push(LEVELS, found_levels := in_levels(found, levels))
    log.info("Found %s", ", ".join(f"job {job['id']}, {job['name']}" for job in found))
    return found_levels[0]


def triggered_jobs(ti: Any, level: int, found_by: str, run_by: str) -> list[dict[str, Any]]:
    """Return the arguments of a further mapped task: the jobs that the level before has started.

    Args:
        ti: The running task instance.
        level: From 1.
        found_by: The id of the task that found the jobs.
        run_by: The id of the mapped task of the level before.
    """
    levels = ti.xcom_pull(found_by, key=LEVELS) or []

    def run_of(parent: int) -> int | None:
        run_id: int | None = ti.xcom_pull(run_by, key="job_run_id", map_indexes=parent)
        return run_id

    return [
        {
            "job_id": job["job_id"],
            "job_name": job["job_name"],
            "triggered_by_run_id": run_of(job["parent"]),
        }
        for job in (levels[level] if level < len(levels) else [])
    ]


def summarize_jobs(ti: Any, found_by: str, run_by: Sequence[str]) -> list[dict[str, Any]]:
    """Return name, state and URL of each job's run.

    Args:
        ti: The running task instance.
        found_by: The id of the task that found the jobs.
        run_by: The ids of the mapped tasks, by level.

    Raises:
        AirflowFailException: A job failed; the message names each job that has not succeeded.
    """
    levels = ti.xcom_pull(found_by, key=LEVELS)
    if not levels:
        raise AirflowFailException(f"No jobs have run: see the log of {found_by}.")
    states = ti.get_task_states(dag_id=ti.dag_id, task_ids=list(run_by), run_ids=[ti.run_id])
    report = [
        {
            "job_name": job["job_name"],
            "state": states.get(ti.run_id, {}).get(f"{task_id}_{index}") or "not run",
            "url": ti.xcom_pull(task_id, key="job_run_url", map_indexes=index),
            "task": f"{task_id} [{index}]",
            "after": levels[level - 1][job["parent"]]["job_name"] if level else None,
        }
        for level, task_id in enumerate(run_by[: len(levels)])
        for index, job in enumerate(levels[level])
    ]
    bad = [job for job in report if job["state"] != "success"]
    lines = "\n".join(_line(job) for job in bad)
    if any(job["state"] != "skipped" for job in bad):
        raise AirflowFailException(
            f"{len(bad)} of {len(report)} jobs did not succeed:\n{lines}\n"
            "Repair the cause, then clear the failed tasks with their downstream tasks."
        )
    if bad:
        log.info("%s", lines)
    return report


def in_levels(found: list[dict[str, Any]], levels: int) -> list[list[dict[str, Any]]]:
    """Return the jobs by level: a job that another found one starts is one level below it.

    ``parent`` is that job's index in the level above. Raise ``AirflowFailException`` if there are
    more than ``levels``, or if jobs start each other.
    """
    names = {job["id"]: job["name"] for job in found}
    started_by: dict[int, Any] = {
        job["id"]: completion_condition(job).get("job_id") for job in found
    }
    parents = {job_id: parent for job_id, parent in started_by.items() if parent in names}
    ancestors = {job_id: list(_ancestors(job_id, parents, names)) for job_id in names}
    deepest = max(ancestors, key=lambda job_id: len(ancestors[job_id]))
    if len(ancestors[deepest]) >= levels:
        chain = [names[job_id] for job_id in (*reversed(ancestors[deepest]), deepest)]
        raise AirflowFailException(
            f"dbt Cloud starts these jobs one after the other: {quoted(chain)}. The Dag follows "
            f"chains of {levels}: set its number of levels (CHAIN) to {len(chain)}."
        )
    result: list[list[dict[str, Any]]] = []
    for level in range(1 + len(ancestors[deepest])):
        above = {job["job_id"]: index for index, job in enumerate(result[-1])} if result else {}
        result.append(
            [
                {"job_id": job_id, "job_name": name}
                | ({"parent": above[parents[job_id]]} if level else {})
                for job_id, name in names.items()
                if len(ancestors[job_id]) == level
            ]
        )
    return result


def _ancestors(job_id: int, parents: Mapping[int, int], names: Mapping[int, str]) -> Iterator[int]:
    seen: list[int] = []
    while (parent := parents.get(job_id)) is not None:
        if parent in seen:
            raise AirflowFailException(
                f"These jobs start each other without an end: {quoted(names[one] for one in seen)}."
                " Remove a completion trigger in dbt Cloud (Settings → Triggers)."
            )
        seen.append(parent)
        job_id = parent
        yield parent


def _fits(
    job: dict[str, Any], patterns: Sequence[str] | None, job_ids: Sequence[int] | None
) -> bool:
    """Return whether a job is selected; those that check pull requests only by their id."""
    if job_ids is not None and job["id"] not in job_ids:
        return False
    if job_ids is None and job.get("job_type") == CHECKS_PULL_REQUESTS:
        return False
    return patterns is None or any(fnmatchcase(job["name"], pattern) for pattern in patterns)


def check_found(
    found: list[dict[str, Any]], listed: list[dict[str, Any]], given: Mapping[str, Any]
) -> None:
    filters = ", ".join(f"{name}={value!r}" for name, value in given.items() if value is not None)
    ids = {job["id"] for job in found}
    if missing := [job_id for job_id in given.get("job_ids") or () if job_id not in ids]:
        raise AirflowFailException(
            f"dbt Cloud has no job {', '.join(map(str, missing))} with {filters}: it was deleted, "
            "or is not visible to this token."
        )
    if not found:
        text = str(given.get("names") or "")
        near = similar(text, [job["name"] for job in listed])
        raise AirflowFailException(
            f"dbt Cloud has no job with {filters}; similar names: {near}. Correct the filter; jobs "
            "that check pull requests are selected only by their id."
        )
    if empty := [job["name"] for job in found if not any(map(str.strip, job["execute_steps"]))]:
        raise AirflowFailException(
            f"These jobs have no commands: {quoted(empty)}. Add one in dbt Cloud (Settings → "
            "Commands). No job was started."
        )


def _line(job: dict[str, Any]) -> str:
    if job["state"] == "skipped":
        return f"- {job['job_name']}: not started by dbt Cloud after {job['after']}"
    return f"- {job['job_name']}: {job['state']}, see {job['url'] or 'the log of ' + job['task']}"

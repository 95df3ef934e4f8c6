"""Follow the runs of a task group, with one poll for all of its tasks."""

from __future__ import annotations

import asyncio
import json
import logging
import shlex
from collections import OrderedDict
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

from ..api.artifacts import command_of
from ..api.async_client import AsyncDbtCloudClient
from ..api.client import DbtCloudClient
from ..api.commands import verb_of
from ..api.live_log import read_failures
from ..api.responses import NOT_FOUND, DbtCloudRefusedError, NoAnswerError, back_off
from ..api.runs import Run
from ..run.polling import ticks
from ..run.runs_of_task import chain
from .progress import Progress, RunProgress, merge_failures, progress_of
from .steps import WITHOUT_NODES

log = logging.getLogger(__name__)
CACHED_RUNS = 64  # finished runs with their results; others are read again
NO_RUN = "The job's task has not started a run: clear it."
DETAILS = "run_steps,job,trigger"
# The key includes the group's, since two dbt Clouds can have runs with the same id.
FINISHED: OrderedDict[tuple[str, int], RunProgress] = OrderedDict()
# For triggers that start between two polls.
LATEST: dict[GroupRuns, Progress] = {}


class Client(Protocol):
    """The client of the triggerer or of a worker."""

    async def get(self, path: str, **params: Any) -> Any: ...


@dataclass(frozen=True)
class WorkerClient:
    """A worker's client, which repeats failed reads."""

    client: DbtCloudClient

    async def get(self, path: str, **params: Any) -> Any:
        return self.client.get(path, **params)


@dataclass(frozen=True)
class GroupRuns:
    """The runs of one task group: those of its job's task, and those that rebuild nodes.

    ``runs`` are the job's, oldest first, each resuming the one before. ``key`` is in the cause of
    each rebuilding run.
    """

    conn_id: str
    account_id: int
    job_id: int
    runs: tuple[int, ...]
    key: str

    @classmethod
    def of(cls, conn_id: str, job: str) -> GroupRuns:
        """Return the runs from ``job``, the XCom of the job's task."""
        if not job:
            raise ValueError(NO_RUN)
        data = json.loads(job)
        return cls(conn_id, data["account_id"], data["job_id"], tuple(data["runs"]), data["key"])


async def follow(group: GroupRuns, interval: float) -> AsyncIterator[Progress]:
    """Poll forever, with one call per active run and interval.

    Once no run is active, one more call looks for new runs. After a node has failed, a few more
    calls read the debug log.
    """
    progress, failures = LATEST.get(group, Progress()), 0
    try:
        while True:
            client = AsyncDbtCloudClient(group.conn_id, group.account_id)
            try:
                async with client:
                    while True:
                        progress = await poll(client, group, progress)
                        LATEST[group], failures = progress, 0
                        yield progress
                        await asyncio.sleep(interval)
            except Exception as error:
                # No error here is a failure of a run, and all tasks depend on this poll.
                failures += 1
                unchanged = replace(progress, problem=f"{type(error).__name__}: {error}")
                async for _tick in ticks(back_off(failures, getattr(error, "retry_after", 0.0))):
                    yield unchanged
    finally:
        LATEST.pop(group, None)


async def poll(client: Client, group: GroupRuns, before: Progress) -> Progress:
    runs: list[RunProgress] = []
    for run_id in group.runs:
        earlier = runs[-1] if runs else None
        one = await poll_run(client, group, run_id, before.of(run_id))
        runs.append(replace(one, continues=earlier))
    if all(one.has_results for one in runs):
        for run, selection in await rebuilding(client, group):
            resumed = next((one for one in runs if one.run.id == run.resumes), None)
            one = await poll_run(client, group, run.id, before.of(run.id))
            runs.append(replace(one, selection=selection, continues=resumed))
    return Progress(tuple(sorted(runs, key=lambda one: one.run.id)))


def poll_in_worker(client: DbtCloudClient, conn_id: str, job: str) -> Progress:
    """Poll once, in a worker; ``job`` is the XCom of the job's task."""
    return asyncio.run(poll(WorkerClient(client), GroupRuns.of(conn_id, job), Progress()))


async def rebuilding(client: Client, group: GroupRuns) -> list[tuple[Run, frozenset[str]]]:
    """Return the runs that rebuild nodes, each with its selection, oldest first."""
    listed = await client.get("runs/", **newest_runs(group.job_id, group.runs[0]))
    return rebuilding_runs(listed, group.key)


def newest_runs(job_id: int, first: int) -> dict[str, Any]:
    """Return the query for a job's runs after the group's ``first``, newest first."""
    return {
        "job_definition_id": job_id,
        "id__gt": first,
        "order_by": "-id",
        "limit": 100,
        "include_related": "trigger",
    }


def rebuilding_runs(listed: list[dict[str, Any]], key: str) -> list[tuple[Run, frozenset[str]]]:
    """Return the rebuilding runs with their selections, oldest first; ``listed`` is newest first.

    Include runs that a person resumed in dbt Cloud, with the selection of the failed run.
    """
    commands = {one["id"]: (one.get("trigger") or {}).get("steps_override") for one in listed}
    found: dict[int | None, tuple[Run, frozenset[str]]] = {}
    for run in chain(map(Run.of, reversed(listed)), key):
        is_resumed = run.resumes in found
        selection = found[run.resumes][1] if is_resumed else selected(commands[run.id] or [])
        found[run.id] = run, selection
    return list(found.values())


def selected(commands: list[str]) -> frozenset[str]:
    """Return the words after ``--select``, which is the commands' last option."""
    split = [shlex.split(command) for command in commands]
    found = [words[words.index("--select") + 1 :] for words in split if "--select" in words]
    return frozenset(word for words in found for word in words)


async def poll_run(
    client: Client, group: GroupRuns, run_id: int, before: RunProgress | None
) -> RunProgress:
    """Return a run's progress; download the results once, after the run has finished."""
    if finished := FINISHED.get((group.key, run_id)):
        return finished
    details = await client.get(f"runs/{run_id}/", include_related=DETAILS)
    if Run.of(details).is_active:
        active = merge_failures(before, progress_of(details, None))
        return await with_failure_messages(client, active)
    artifacts = {}
    for step in details["run_steps"]:
        command = command_of(step)
        if command and verb_of(command) not in WITHOUT_NODES:
            artifacts[step["index"]] = await run_results(client, run_id, step["index"])
    progress = merge_failures(before, progress_of(details, artifacts))
    FINISHED[group.key, run_id] = progress
    while len(FINISHED) > CACHED_RUNS:
        FINISHED.popitem(last=False)
    return progress


async def run_results(client: Client, run_id: int, step: int) -> Any:
    """Return the step's results; None only if dbt Cloud returns 404."""
    try:
        return await client.get(f"runs/{run_id}/artifacts/run_results.json", step=step)
    except DbtCloudRefusedError as refusal:
        if refusal.status != NOT_FOUND:
            raise
        return None


async def with_failure_messages(client: Client, progress: RunProgress) -> RunProgress:
    """Add dbt's messages about failed nodes, which until the run's end only the debug log has."""
    if not progress.lacks_messages:
        return progress
    try:
        path, related = f"runs/{progress.run.id}/", "run_steps,debug_logs"
        details = await client.get(path, include_related=related)
    except (DbtCloudRefusedError, NoAnswerError) as error:
        log.warning("Could not read the debug log of run %d: %s", progress.run.id, error)
        return progress
    debug_logs = "\n".join(step.get("debug_logs") or "" for step in details["run_steps"])
    return replace(progress, failures=read_failures(debug_logs))

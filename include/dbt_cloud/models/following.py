"""Follows the runs of one task group, with one poll for all of its tasks."""

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
from .progress import Progress, RunProgress, heard_after, progress_of
from .steps import WITHOUT_NODES

log = logging.getLogger(__name__)
KEPT_RUNS = 64  # that have ended, with their results; the others are read again
NO_RUN = "The job's task has started no run, whatever its state: clear it."
DETAILS = "run_steps,job,trigger"
# By the group's key too: two dbt Clouds may each have a run of one number.
SETTLED: OrderedDict[tuple[str, int], RunProgress] = OrderedDict()
# Whoever comes later need not wait for the next poll.
LATEST: dict[Followed, Progress] = {}


class Client(Protocol):
    """What asks dbt Cloud: in the triggerer the asynchronous client, in a worker the other one."""

    async def get(self, path: str, **params: Any) -> Any: ...


@dataclass(frozen=True)
class WorkerClient:
    """The client of a worker, which repeats a read that fails."""

    client: DbtCloudClient

    async def get(self, path: str, **params: Any) -> Any:
        return self.client.get(path, **params)


@dataclass(frozen=True)
class Followed:
    """The runs of one task group: those of its job's task, and the ones that rebuild nodes.

    ``runs`` are the job's, oldest first, each resuming the one before. ``key`` marks the cause of
    a rebuilding run.
    """

    conn_id: str
    account_id: int
    job_id: int
    runs: tuple[int, ...]
    key: str

    @classmethod
    def of(cls, conn_id: str, job: str) -> Followed:
        """``job`` is what the job's task has put into XCom."""
        if not job:
            raise ValueError(NO_RUN)
        told = json.loads(job)
        return cls(conn_id, told["account_id"], told["job_id"], tuple(told["runs"]), told["key"])


async def follow(followed: Followed, interval: float) -> AsyncIterator[Progress]:
    """One call per active run and interval, and one more for new runs once none is active.

    And a few more, for the debug log, when a node has failed.
    """
    progress, failures = LATEST.get(followed, Progress()), 0
    try:
        while True:
            client = AsyncDbtCloudClient(followed.conn_id, followed.account_id)
            try:
                async with client:
                    while True:
                        progress = await look(client, followed, progress)
                        LATEST[followed], failures = progress, 0
                        yield progress
                        await asyncio.sleep(interval)
            except Exception as error:
                # Whatever it is, it says nothing about the runs, and all tasks depend on this.
                failures += 1
                told = replace(progress, problem=f"{type(error).__name__}: {error}")
                async for _tick in ticks(back_off(failures, getattr(error, "retry_after", 0.0))):
                    yield told
    finally:
        LATEST.pop(followed, None)


async def look(client: Client, followed: Followed, before: Progress) -> Progress:
    runs: list[RunProgress] = []
    for run_id in followed.runs:
        earlier = runs[-1] if runs else None
        one = await look_at(client, followed, run_id, before.of(run_id))
        runs.append(replace(one, continues=earlier))
    if all(one.is_settled for one in runs):
        for run, selection in await rebuilding(client, followed):
            resumed = next((one for one in runs if one.run.id == run.resumes), None)
            one = await look_at(client, followed, run.id, before.of(run.id))
            runs.append(replace(one, selection=selection, continues=resumed))
    return Progress(tuple(sorted(runs, key=lambda one: one.run.id)))


def look_in_worker(client: DbtCloudClient, conn_id: str, job: str) -> Progress:
    """Look once, in a worker; ``job`` is what the job's task has put into XCom."""
    return asyncio.run(look(WorkerClient(client), Followed.of(conn_id, job), Progress()))


async def rebuilding(client: Client, followed: Followed) -> list[tuple[Run, frozenset[str]]]:
    """The runs that rebuild nodes, each with what it selects, oldest first."""
    listed = await client.get("runs/", **newest_runs(followed.job_id, followed.runs[0]))
    return rebuilding_runs(listed, followed.key)


def newest_runs(job_id: int, first: int) -> dict[str, Any]:
    """How dbt Cloud is asked for a job's runs after its ``first`` of a task group, newest first."""
    return {
        "job_definition_id": job_id,
        "id__gt": first,
        "order_by": "-id",
        "limit": 100,
        "include_related": "trigger",
    }


def rebuilding_runs(listed: list[dict[str, Any]], key: str) -> list[tuple[Run, frozenset[str]]]:
    """Of runs as dbt Cloud lists them, newest first.

    One that a person resumed in dbt Cloud counts too, and selects what the failed one does.
    """
    commands = {one["id"]: (one.get("trigger") or {}).get("steps_override") for one in listed}
    found: dict[int | None, tuple[Run, frozenset[str]]] = {}
    for run in chain(map(Run.of, reversed(listed)), key):
        is_resumed = run.resumes in found
        selection = found[run.resumes][1] if is_resumed else selected(commands[run.id] or [])
        found[run.id] = run, selection
    return list(found.values())


def selected(commands: list[str]) -> frozenset[str]:
    """What the commands select by name, with the last of their options."""
    split = [shlex.split(command) for command in commands]
    found = [words[words.index("--select") + 1 :] for words in split if "--select" in words]
    return frozenset(word for words in found for word in words)


async def look_at(
    client: Client, followed: Followed, run_id: int, before: RunProgress | None
) -> RunProgress:
    """Downloads the results once the run has ended, and then never again."""
    if settled := SETTLED.get((followed.key, run_id)):
        return settled
    details = await client.get(f"runs/{run_id}/", include_related=DETAILS)
    if Run.of(details).is_active:
        return await explained(client, heard_after(before, progress_of(details, None)))
    artifacts = {}
    for step in details["run_steps"]:
        command = command_of(step)
        if command and verb_of(command) not in WITHOUT_NODES:
            artifacts[step["index"]] = await run_results(client, run_id, step["index"])
    progress = heard_after(before, progress_of(details, artifacts))
    SETTLED[followed.key, run_id] = progress
    while len(SETTLED) > KEPT_RUNS:
        SETTLED.popitem(last=False)
    return progress


async def run_results(client: Client, run_id: int, step: int) -> Any:
    """Return what the step has left; None only if dbt Cloud says that there is nothing."""
    try:
        return await client.get(f"runs/{run_id}/artifacts/run_results.json", step=step)
    except DbtCloudRefusedError as refusal:
        if refusal.status != NOT_FOUND:
            raise
        return None


async def explained(client: Client, progress: RunProgress) -> RunProgress:
    """With dbt's messages about nodes that have failed, which only the debug log has so far."""
    if not progress.lacks_messages:
        return progress
    try:
        path, related = f"runs/{progress.run.id}/", "run_steps,debug_logs"
        details = await client.get(path, include_related=related)
    except (DbtCloudRefusedError, NoAnswerError) as error:
        log.warning("The debug log of run %d cannot be read: %s", progress.run.id, error)
        return progress
    debug_logs = "\n".join(step.get("debug_logs") or "" for step in details["run_steps"])
    return replace(progress, failures=read_failures(debug_logs))

"""The dbt commands of a run: the nodes that each can run, and their results."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import Any

from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudJobRunStatus as Status

from ..api.artifacts import (
    BUILDING,
    BUILT,
    GOOD,
    TESTS,
    command_of,
    command_run_by,
    has_failed,
    invocation_of,
)
from ..api.commands import is_selecting, verb_of, words_of
from ..api.live_log import NodeLine, read_log
from ..api.loose_json import number, text
from ..api.runs import Run
from ..run.recovery import planned_commands

# Command → the kinds of nodes that it runs. A command in neither list may run any node.
KINDS = {
    "build": {*BUILT, *TESTS},
    "retry": {*BUILT, *TESTS},
    "run": {"model"},
    "seed": {"seed"},
    "snapshot": {"snapshot"},
    "test": {*TESTS},
}
WITHOUT_NODES = {
    *("clean", "clone", "compile", "debug", "deps", "docs", "init", "list", "ls", "parse"),
    *("run-operation", "show", "source"),
}
PLAIN = re.compile(r"[\w-]+")


@dataclass(frozen=True)
class Result:
    """The result of one node. ``rows`` are the affected ones, or a test's failing ones.

    While the run is active, ``last_sql`` is set instead of ``compiled_sql``.
    """

    unique_id: str
    status: str
    seconds: float
    message: str = ""
    rows: int | None = None
    compiled_sql: str = ""
    last_sql: str = ""

    @property
    def is_good(self) -> bool:
        return self.status in GOOD

    @property
    def has_failed(self) -> bool:
        return has_failed(self.status)


@dataclass(frozen=True)
class Step:
    """A started or planned dbt command of a run.

    Attributes:
        command: The command line.
        status: dbt Cloud's status of the step; None if it has not started.
        is_planned: Whether it is one of the job's commands, not one that dbt Cloud adds.
        node_lines: Label → the last log line about it; empty if the command runs no nodes.
        results: Unique id → result; None if the command wrote none.
    """

    command: str
    status: int | None = None
    is_planned: bool = True
    node_lines: dict[str, NodeLine] = field(default_factory=dict)
    results: dict[str, Result] | None = None

    @property
    def has_ended(self) -> bool:
        return self.status in Status.TERMINAL_STATUSES.value

    @property
    def has_failed(self) -> bool:
        return self.status == Status.ERROR.value

    def can_run(self, unique_id: str, folder: str | None = None) -> bool:
        return can_run(self.command, unique_id, folder)

    def failed(self, labels: dict[str, str]) -> list[str]:
        """Return which of these nodes failed; ``labels`` is unique id → label."""
        if self.results is not None:
            return [key for key in labels if (one := self.results.get(key)) and one.has_failed]
        lines = {key: self.node_lines.get(label) for key, label in labels.items()}
        return [key for key, line in lines.items() if line and line.has_failed]


@lru_cache(maxsize=4096)
def can_run(command: str, unique_id: str, folder: str | None = None) -> bool:
    """Return whether a dbt command may run a node.

    A selection of plain names, as in ``--select orders marts``, includes the nodes, folders and
    packages of these names. Any other may include every node of the kinds that the command runs,
    and any selection may include a test.

    Args:
        command: The command line.
        unique_id: The node's unique id.
        folder: The folder of its file, as in the lineage file; None if unavailable.
    """
    kind, package, *name = unique_id.split(".")
    verb = verb_of(command)
    if verb in WITHOUT_NODES or kind not in KINDS.get(verb, {kind}):
        return False
    names = selected_names(command)
    if names is None or folder is None or kind in TESTS:
        return True
    own = {package, name[0], "_".join(name), *folder.split("/")}
    return any(not PLAIN.fullmatch(one) or one in own for one in names)


def selected_names(command: str) -> list[str] | None:
    """Return the words after ``--select``; None if the command selects in another way or not.

    >>> selected_names("dbt build --select orders marts --exclude stg_orders --threads 4")
    ['orders', 'marts']
    """
    found: list[str] | None = None
    option = ""
    for word in words_of(command):
        if word.startswith("-"):
            option = word
            if is_selecting(word) and word not in ("--select", "-s", "--exclude"):
                return None
        elif option in ("--select", "-s"):
            found = [*(found or []), *word.split()]
    return found


def steps_of(details: dict[str, Any], artifacts: dict[int, Any]) -> list[Step]:
    """Return the commands of a run in order, including those that have not started.

    Args:
        details: The run with its steps, job and trigger.
        artifacts: Index of a step → its ``run_results.json``, if any.
    """
    run, steps, seen = Run.of(details), [], set[str]()
    left = planned_commands(details)
    for one in details["run_steps"]:
        if (command := command_of(one)) is None:
            continue
        rest = after(command, left, is_resumed=run.is_rerun or run.resumes is not None)
        left = left if rest is None else rest
        is_read = verb_of(command) in KINDS
        steps.append(
            Step(
                command=command,
                status=one["status"],
                is_planned=rest is not None,
                node_lines=read_log(one.get("logs") or "") if is_read else {},
                results=own_results(command, artifacts.get(one["index"]), seen),
            )
        )
    return [*steps, *map(Step, left)]


def after(command: str, left: list[str], is_resumed: bool) -> list[str] | None:
    """Return the commands that follow once this one of ``left`` has started.

    Return None if it is not one of them. A run that resumes another starts with a later command.
    """
    same = [one.split() == command.split() for one in left]
    if True not in same:
        return None
    place = same.index(True)
    passed = {verb_of(one) for one in left[:place]}
    is_next = passed <= WITHOUT_NODES and (place == 0 or verb_of(command) in KINDS)
    is_later = is_resumed and verb_of(command) in KINDS
    return left[place + 1 :] if is_next or is_later else None


def own_results(command: str, artifact: Any, seen: set[str]) -> dict[str, Result] | None:
    """Return the results of a command; None if it wrote none.

    In that case dbt Cloud returns those of the command before, whose invocation id is in ``seen``.
    """
    if not artifact or command_run_by(artifact, command) not in BUILDING:
        return None
    if (invocation := invocation_of(artifact)) in seen:
        return None
    seen.add(invocation)
    return {one["unique_id"]: result_of(one) for one in artifact["results"]}


def result_of(one: dict[str, Any]) -> Result:
    response = one.get("adapter_response") or {}
    rows = one.get("failures")
    return Result(
        unique_id=one["unique_id"],
        status=text(one.get("status")) or "unknown",
        seconds=round(number(one.get("execution_time")) or 0.0, 2),
        message=one.get("message") or "",
        rows=rows if rows is not None else response.get("rows_affected"),
        compiled_sql=one.get("compiled_code") or "",
    )


def merged(steps: Iterator[dict[str, Result]]) -> dict[str, Result]:
    """Return the results of several commands; a failure in any of them counts."""
    found: dict[str, Result] = {}
    for results in steps:
        found |= {key: one for key, one in results.items() if not _failed(found.get(key))}
    return found


def _failed(result: Result | None) -> bool:
    return result is not None and result.has_failed


def as_data(result: Result) -> dict[str, Any]:
    """Return a result as data for XCom, without empty fields."""
    return {key: value for key, value in asdict(result).items() if value not in ("", None)}

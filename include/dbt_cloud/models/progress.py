"""What dbt Cloud's runs have made of their nodes so far.

While a run goes on its log tells; once it has ended, the results of all its steps do.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudJobRunStatus as Status

from ..artifacts import BUILDING, FAILED, command_of
from ..recovery import planned_commands
from ..runs import Run
from .live_log import Said, message_about, read_log

GOOD = {"success", "pass", "warn", "reused", "no-op"}
TESTING = {"build", "retry", "test"}


@dataclass(frozen=True)
class Result:
    """What became of one node. ``rows`` are affected or, of a test, failing ones, where known."""

    unique_id: str
    status: str
    seconds: float
    message: str = ""
    rows: int | None = None
    compiled_sql: str = ""

    @property
    def is_good(self) -> bool:
        return self.status in GOOD

    @property
    def has_failed(self) -> bool:
        return self.status in FAILED or self.status == "partial success"


@dataclass(frozen=True)
class RunProgress:
    """One run. ``selection`` is what a rebuilding run was told to build; None is everything.

    ``continues`` is the failed run that this one resumes: what had succeeded there still counts.
    """

    run: Run
    selection: frozenset[str] | None = None
    said: dict[str, Said] = field(default_factory=dict)
    results: dict[str, Result] | None = None
    status_message: str = ""
    text: str = ""
    can_test: bool = True
    continues: RunProgress | None = None

    @property
    def is_settled(self) -> bool:
        return self.results is not None

    @property
    def log_is_unread(self) -> bool:
        """Dbt has written a good deal, and nothing of it was understood."""
        return not self.said and self.text.count("\n") > 20

    def covers(self, selector: str) -> bool:
        return self.selection is None or selector in self.selection

    def result(self, unique_id: str, label: str) -> Result | None:
        """None as long as nothing final is known."""
        settled = (self.results or {}).get(unique_id)
        if settled:
            return settled
        said = self.said.get(label)
        if said and said.status != "started":
            message = message_about(unique_id.split(".")[2], self.text) or said.line
            return Result(unique_id, said.status, said.seconds, message, said.rows)
        earlier = self.continues.result(unique_id, label) if self.continues else None
        return earlier if earlier and earlier.is_good else None

    def denied(self, labels: dict[str, str]) -> dict[str, tuple[str, str]]:
        """Unique id → what the log had said, and what the results say instead."""
        pairs = {
            unique_id: (said.status, result.status)
            for unique_id, result in (self.results or {}).items()
            if (said := self.said.get(labels.get(unique_id, ""))) and said.status != "started"
        }
        return {key: pair for key, pair in pairs.items() if (pair[0] in GOOD) != (pair[1] in GOOD)}


@dataclass(frozen=True)
class Progress:
    """All runs of one task group in one Dag run, oldest first."""

    runs: tuple[RunProgress, ...] = ()
    problem: str = ""

    def newest(self, selector: str, after: int) -> RunProgress | None:
        """The newest run, started after run ``after``, that builds what ``selector`` selects."""
        found = [one for one in self.runs if one.run.id > after and one.covers(selector)]
        return found[-1] if found else None

    @property
    def is_active(self) -> bool:
        return any(not one.is_settled for one in self.runs)


def progress_of(details: dict[str, Any], artifacts: list[dict[str, Any]] | None) -> RunProgress:
    """``details`` come with steps, job and trigger; ``artifacts`` are all its run results."""
    steps = [step for step in details["run_steps"] if command_of(step)]
    text = "\n".join(step.get("logs") or "" for step in steps)
    return RunProgress(
        run=Run.of(details),
        said=read_log(text),
        results=None if artifacts is None else results_in(artifacts),
        status_message=details.get("status_message") or details.get("status_humanized") or "",
        text=text + "\n".join(step.get("truncated_debug_logs") or "" for step in steps),
        can_test=any(is_testing(command) for command in commands_left(details)),
    )


def commands_left(details: dict[str, Any]) -> list[str]:
    """The commands that have not ended yet."""
    terminal = Status.TERMINAL_STATUSES.value
    ended = [command_of(one) for one in details["run_steps"] if one["status"] in terminal]
    return [command for command in planned_commands(details) if command not in ended]


def is_testing(command: str) -> bool:
    return not TESTING.isdisjoint(command.split()[1:])


def results_in(artifacts: Iterable[dict[str, Any]]) -> dict[str, Result]:
    """Of all steps; a node that ran in several is what the last one says."""
    found: dict[str, Result] = {}
    for artifact in artifacts:
        if artifact["args"]["which"] in BUILDING:
            found |= {one["unique_id"]: _result(one) for one in artifact["results"]}
    return found


def _result(one: dict[str, Any]) -> Result:
    response = one.get("adapter_response") or {}
    rows = one.get("failures")
    return Result(
        unique_id=one["unique_id"],
        status=one["status"],
        seconds=round(one.get("execution_time") or 0.0, 2),
        message=one.get("message") or "",
        rows=rows if rows is not None else response.get("rows_affected"),
        compiled_sql=one.get("compiled_code") or "",
    )


def as_data(result: Result) -> dict[str, Any]:
    """For XCom: without what is not known."""
    return {key: value for key, value in asdict(result).items() if value not in ("", None)}

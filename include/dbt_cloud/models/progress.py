"""What dbt Cloud's runs have made of their nodes so far.

While a run goes on its log tells; once it has ended, the results of all its steps do.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudJobRunStatus as Status

from ..artifacts import BUILDING, FAILED, command_of
from ..recovery import planned_commands
from ..runs import Run
from .live_log import Failure, Said, read_log

GOOD = {"success", "pass", "warn", "reused", "no-op"}
BAD = {*FAILED, "partial success"}
TESTING = {"build", "retry", "test"}
LOOKS = 3  # until a failed node is told without dbt's message
NO_MESSAGE = "dbt has not written why yet: the run's page tells, once it has ended."


@dataclass(frozen=True)
class Result:
    """What became of one node. ``rows`` are affected or, of a test, failing ones, where known.

    While the run goes on there is no compiled SQL, but the last that was sent to the warehouse.
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
        return self.status in BAD


@dataclass(frozen=True)
class RunProgress:
    """One run, as far as it is known.

    ``selection`` is what a run that rebuilds was told to build; None is everything. ``said`` has
    the log's last line about each label, ``results`` what dbt has left; None until the run's end.
    ``heard`` counts the looks since a label has failed, as dbt's message may come later;
    ``failures`` is unique id → that message. ``can_test`` tells whether tests may still run.
    ``continues`` is the failed run that this one resumes: what had succeeded there still counts.
    """

    run: Run
    selection: frozenset[str] | None = None
    said: dict[str, Said] = field(default_factory=dict)
    heard: dict[str, int] = field(default_factory=dict)
    failures: dict[str, Failure] = field(default_factory=dict)
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
            return self._result_of(unique_id, said)
        earlier = self.continues.result(unique_id, label) if self.continues else None
        return earlier if earlier and earlier.is_good else None

    def _result_of(self, unique_id: str, said: Said) -> Result | None:
        """None while dbt's message about a node that failed may still come."""
        result = Result(unique_id, said.status, said.seconds, said.line, said.rows)
        if why := self.failures.get(unique_id):
            return replace(result, message=why.message, last_sql=why.sql)
        if said.status != "error" or self.is_settled:
            return result
        if self.heard.get(said.label, 0) < LOOKS:
            return None
        return replace(result, message=f"{said.line}\n{NO_MESSAGE}")

    @property
    def lacks_messages(self) -> bool:
        """A node has failed lately, and it is not known why."""
        is_late = any(looks <= LOOKS for looks in self.heard.values())
        return is_late and len(self.heard) > len(self.failures)

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

    def of(self, run_id: int) -> RunProgress | None:
        return next((one for one in self.runs if one.run.id == run_id), None)

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
        text=text,
        can_test=any(is_testing(command) for command in commands_left(details)),
    )


def heard_after(before: RunProgress | None, progress: RunProgress) -> RunProgress:
    """With what is known of failed nodes since an earlier look."""
    earlier = before or RunProgress(progress.run)
    failed = [label for label, said in progress.said.items() if said.status in BAD]
    heard = {label: earlier.heard.get(label, 0) + 1 for label in failed}
    return replace(progress, heard=heard, failures=earlier.failures)


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

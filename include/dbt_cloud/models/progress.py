"""The state of nodes in dbt Cloud's runs.

It comes from the log while a run is active, and from the results of its steps afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..api.live_log import Failure, NodeLine
from ..api.runs import Run
from .steps import Result, Step, merged, steps_of

MESSAGE_POLLS = 3  # until a failed node is reported without dbt's message
NO_MESSAGE = "dbt has not logged the reason yet: see the run's page after its end."


@dataclass(frozen=True)
class RunProgress:
    """The progress of one run.

    Attributes:
        run: The run.
        steps: Its commands, including those that have not started.
        has_results: Whether the run has finished and its results are loaded.
        selection: The selection of a rebuilding run; None is everything.
        polls_since_failure: Label → polls since it failed, since dbt's message may come later.
        failures: Unique id → that message.
        status_message: dbt Cloud's message about the run.
        line_count: The number of lines in dbt's log.
        continues: The failed run that this one resumes: its successful nodes still count.
    """

    run: Run
    steps: tuple[Step, ...] = ()
    has_results: bool = False
    selection: frozenset[str] | None = None
    polls_since_failure: Mapping[str, int] = field(default_factory=dict)
    failures: Mapping[str, Failure] = field(default_factory=dict)
    status_message: str = ""
    line_count: int = 0
    continues: RunProgress | None = None

    @property
    def node_lines(self) -> dict[str, NodeLine]:
        """Return label → the last log line about it."""
        return {label: line for step in self.steps for label, line in step.node_lines.items()}

    @property
    def results(self) -> dict[str, Result]:
        """Return unique id → result, from the run's artifacts."""
        return merged(step.results or {} for step in self.steps)

    @property
    def is_log_unreadable(self) -> bool:
        """Return whether dbt has logged many lines, but none about a node."""
        return not self.node_lines and self.line_count > 20

    def includes(self, selector: str) -> bool:
        return self.selection is None or selector in self.selection

    def has_begun(self, label: str) -> bool:
        """Return whether the node with this label is being built or tested."""
        line = self.node_lines.get(label)
        return not self.has_results and line is not None and line.status == "started"

    def can_run(self, unique_id: str, folder: str | None = None, since: int = 0) -> bool:
        """Return whether a command from index ``since`` on may still run the node."""
        left = [step for step in self.steps[since:] if not step.has_ended]
        return not self.has_results and any(step.can_run(unique_id, folder) for step in left)

    def result(self, unique_id: str, label: str, folder: str | None = None) -> Result | None:
        """Return a node's final result, or None while there is none.

        A failure is final, since it ends the run. Other results are final once no later command of
        the run can run the node again. See ``steps.can_run`` for ``folder``.
        """
        found: Result | None = None
        since = 0
        for number, step in enumerate(self.steps, 1):
            if step.results is not None:
                one = step.results.get(unique_id)
            elif line := step.node_lines.get(label):
                one = self._result_of(unique_id, line)
                if one is None:
                    return None
            else:
                continue
            if one:
                found, since = one, number
                if one.has_failed:
                    return one
        if found is None:
            found, since = self._earlier_result(unique_id, label), self._resumed_step
        return None if self.can_run(unique_id, folder, since) else found

    def _result_of(self, unique_id: str, line: NodeLine) -> Result | None:
        """Return a line's result; None for a started node, or while dbt's message may follow."""
        if line.status == "started":
            return None
        result = Result(unique_id, line.status, line.seconds, line.line, line.rows)
        if why := self.failures.get(unique_id):
            return replace(result, message=why.message, last_sql=why.sql)
        if line.status != "error" or self.has_results:
            return result
        if self.polls_since_failure.get(line.label, 0) < MESSAGE_POLLS:
            return None
        return replace(result, message=f"{line.line}\n{NO_MESSAGE}")

    def _earlier_result(self, unique_id: str, label: str) -> Result | None:
        earlier = self.continues.result(unique_id, label) if self.continues else None
        return earlier if earlier and earlier.is_good else None

    @property
    def _resumed_step(self) -> int:
        """Return the index of the step after the one that reruns only the failed nodes."""
        planned = (number for number, step in enumerate(self.steps, 1) if step.is_planned)
        first = next(planned, 0)
        return first if first and self.steps[first - 1].status is not None else 0

    def may_have_built(self, unique_id: str, folder: str | None = None) -> bool:
        """Return whether the run may have built a node that has no result."""
        steps, earlier = self.steps, self.continues
        if earlier:
            if unique_id in earlier.results or earlier.may_have_built(unique_id, folder):
                return True
            steps = steps[self._resumed_step :]
        return any(step.results is None and step.can_run(unique_id, folder) for step in steps)

    @property
    def failed_step(self) -> Step | None:
        """Return the command that ended the run: the last failed one."""
        return next((step for step in reversed(self.steps) if step.has_failed), None)

    def is_explained(self, labels: dict[str, str]) -> bool:
        """Return whether one of these nodes failed the run; ``labels`` is unique id → label."""
        step = self.failed_step if self.run.has_failed else None
        return step is not None and bool(step.failed(labels))

    def has_lost(self, unique_id: str, label: str, folder: str | None) -> bool:
        """Return whether the command that ended the run may have run the node without a result.

        This happens when dbt is killed. The node's task then fails, unless another command has a
        result of the node. See ``steps.can_run`` for ``folder``.
        """
        step = self.failed_step if self.run.has_failed else None
        if step is None or step.results is not None or not step.can_run(unique_id, folder):
            return False
        return self.result(unique_id, label, folder) is None

    @property
    def lacks_messages(self) -> bool:
        """Return whether a node failed recently and its message is missing."""
        is_recent = any(polls <= MESSAGE_POLLS for polls in self.polls_since_failure.values())
        return is_recent and len(self.polls_since_failure) > len(self.failures)


@dataclass(frozen=True)
class Progress:
    """All runs of one task group in one Dag run, oldest first."""

    runs: tuple[RunProgress, ...] = ()
    problem: str = ""

    def of(self, run_id: int) -> RunProgress | None:
        return next((one for one in self.runs if one.run.id == run_id), None)

    @property
    def job_run(self) -> RunProgress:
        """Return the newest run of the job's task; all others rebuild nodes."""
        return [one for one in self.runs if one.selection is None][-1]

    def newest(self, selector: str, after: int) -> RunProgress | None:
        """Return the newest run after run ``after`` that includes ``selector``."""
        found = [one for one in self.runs if one.run.id > after and one.includes(selector)]
        return found[-1] if found else None

    def newest_result(
        self, unique_id: str, label: str
    ) -> tuple[RunProgress, Result] | tuple[None, None]:
        """Return the newest run with a result of the node, and that result."""
        for run in reversed(self.runs):
            if result := run.result(unique_id, label):
                return run, result
        return None, None

    @property
    def is_active(self) -> bool:
        return any(not one.has_results for one in self.runs)


def progress_of(details: dict[str, Any], artifacts: dict[int, Any] | None) -> RunProgress:
    """Return the progress of a run.

    Args:
        details: The run with its steps, job and trigger.
        artifacts: Index of a step → its run results; None for an active run.
    """
    logs = [step.get("logs") or "" for step in details["run_steps"]]
    return RunProgress(
        run=Run.of(details),
        steps=tuple(steps_of(details, artifacts or {})),
        has_results=artifacts is not None,
        status_message=details.get("status_message") or details.get("status_humanized") or "",
        line_count=sum(log.count("\n") for log in logs),
    )


def merge_failures(before: RunProgress | None, progress: RunProgress) -> RunProgress:
    """Return ``progress`` with the counted polls and the messages of an earlier poll."""
    earlier = before or RunProgress(progress.run)
    failed = [label for label, line in progress.node_lines.items() if line.has_failed]
    polls = {label: earlier.polls_since_failure.get(label, 0) + 1 for label in failed}
    return replace(progress, polls_since_failure=polls, failures=earlier.failures)

"""What dbt Cloud's runs have made of their nodes so far.

While a run goes on its log tells; once it has ended, the results of all its steps do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..api.live_log import Failure, Said
from ..api.runs import Run
from .steps import Result, Step, merged, steps_of

LOOKS = 3  # until a failed node is told without dbt's message
NO_MESSAGE = "dbt has not written why yet: the run's page tells, once it has ended."


@dataclass(frozen=True)
class RunProgress:
    """One run, as far as it is known.

    Attributes:
        run: The run.
        steps: Its commands, also those that are still to come.
        is_settled: Whether the run has ended, and what its steps have left is known.
        selection: What a run that rebuilds was told to build; None is everything.
        heard: Label → looks since it has failed, as dbt's message may come later.
        failures: Unique id → that message.
        status_message: dbt Cloud's words about the run.
        lines: How many lines of dbt's log there are.
        continues: The failed run that this one resumes: what had succeeded there still counts.
    """

    run: Run
    steps: tuple[Step, ...] = ()
    is_settled: bool = False
    selection: frozenset[str] | None = None
    heard: Mapping[str, int] = field(default_factory=dict)
    failures: Mapping[str, Failure] = field(default_factory=dict)
    status_message: str = ""
    lines: int = 0
    continues: RunProgress | None = None

    @property
    def said(self) -> dict[str, Said]:
        """Label → the last that the log says of it."""
        return {label: said for step in self.steps for label, said in step.said.items()}

    @property
    def results(self) -> dict[str, Result]:
        """Unique id → result, of all that the run has left."""
        return merged(step.results or {} for step in self.steps)

    @property
    def log_is_unread(self) -> bool:
        """Dbt has written a good deal, and nothing of it was understood."""
        return not self.said and self.lines > 20

    def covers(self, selector: str) -> bool:
        return self.selection is None or selector in self.selection

    def has_begun(self, label: str) -> bool:
        """Return whether the node of this label is being built or tested."""
        said = self.said.get(label)
        return not self.is_settled and said is not None and said.status == "started"

    def can_run(self, unique_id: str, folder: str | None = None, since: int = 0) -> bool:
        """Return whether a command from number ``since`` on may still run the node."""
        left = [step for step in self.steps[since:] if not step.has_ended]
        return not self.is_settled and any(step.can_run(unique_id, folder) for step in left)

    def result(self, unique_id: str, label: str, folder: str | None = None) -> Result | None:
        """Return what became of a node; None as long as nothing final is known.

        A failure is final, since it ends the run. Anything else is final once no later command of
        the run can run the node again. See ``steps.can_run`` for ``folder``.
        """
        found: Result | None = None
        since = 0
        for number, step in enumerate(self.steps, 1):
            if step.results is not None:
                one = step.results.get(unique_id)
            elif said := step.said.get(label):
                one = self._result_of(unique_id, said)
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

    def _result_of(self, unique_id: str, said: Said) -> Result | None:
        """None while it is being built, or dbt's message about why it failed may still come."""
        if said.status == "started":
            return None
        result = Result(unique_id, said.status, said.seconds, said.line, said.rows)
        if why := self.failures.get(unique_id):
            return replace(result, message=why.message, last_sql=why.sql)
        if said.status != "error" or self.is_settled:
            return result
        if self.heard.get(said.label, 0) < LOOKS:
            return None
        return replace(result, message=f"{said.line}\n{NO_MESSAGE}")

    def _earlier_result(self, unique_id: str, label: str) -> Result | None:
        earlier = self.continues.result(unique_id, label) if self.continues else None
        return earlier if earlier and earlier.is_good else None

    @property
    def _resumed_step(self) -> int:
        """The number of the step after the one that runs what had failed, and nothing else."""
        planned = (number for number, step in enumerate(self.steps, 1) if step.is_planned)
        first = next(planned, 0)
        return first if first and self.steps[first - 1].status is not None else 0

    def may_have_built(self, unique_id: str, folder: str | None = None) -> bool:
        """Return whether a node without a result may be one that the run was to build."""
        steps, earlier = self.steps, self.continues
        if earlier:
            if unique_id in earlier.results or earlier.may_have_built(unique_id, folder):
                return True
            steps = steps[self._resumed_step :]
        return any(step.results is None and step.can_run(unique_id, folder) for step in steps)

    @property
    def failed_step(self) -> Step | None:
        """The command that has ended the run: the last one that failed."""
        return next((step for step in reversed(self.steps) if step.has_failed), None)

    def is_explained(self, labels: dict[str, str]) -> bool:
        """Return whether one of these nodes has failed the run; ``labels`` is unique id → label."""
        step = self.failed_step if self.run.has_failed else None
        return step is not None and bool(step.failed(labels))

    def has_lost(self, unique_id: str, label: str, folder: str | None) -> bool:
        """Return whether the command that ended the run may have run the node and left no results.

        So it is if dbt was killed. The node's task fails then, unless the node has a result of
        another command. See ``steps.can_run`` for ``folder``.
        """
        step = self.failed_step if self.run.has_failed else None
        if step is None or step.results is not None or not step.can_run(unique_id, folder):
            return False
        return self.result(unique_id, label, folder) is None

    @property
    def lacks_messages(self) -> bool:
        """A node has failed lately, and it is not known why."""
        is_late = any(looks <= LOOKS for looks in self.heard.values())
        return is_late and len(self.heard) > len(self.failures)


@dataclass(frozen=True)
class Progress:
    """All runs of one task group in one Dag run, oldest first."""

    runs: tuple[RunProgress, ...] = ()
    problem: str = ""

    def of(self, run_id: int) -> RunProgress | None:
        return next((one for one in self.runs if one.run.id == run_id), None)

    @property
    def job_run(self) -> RunProgress:
        """The newest run of the job's task; all others build nodes again."""
        return [one for one in self.runs if one.selection is None][-1]

    def newest(self, selector: str, after: int) -> RunProgress | None:
        """The newest run, started after run ``after``, that builds what ``selector`` selects."""
        found = [one for one in self.runs if one.run.id > after and one.covers(selector)]
        return found[-1] if found else None

    def newest_result(
        self, unique_id: str, label: str
    ) -> tuple[RunProgress, Result] | tuple[None, None]:
        """What became of a node in the newest run that has run it."""
        for run in reversed(self.runs):
            if result := run.result(unique_id, label):
                return run, result
        return None, None

    @property
    def is_active(self) -> bool:
        return any(not one.is_settled for one in self.runs)


def progress_of(details: dict[str, Any], artifacts: dict[int, Any] | None) -> RunProgress:
    """Return what is known of a run.

    Args:
        details: The run with its steps, job and trigger.
        artifacts: Index of a step → its run results, of a run that has ended; None before.
    """
    logs = [step.get("logs") or "" for step in details["run_steps"]]
    return RunProgress(
        run=Run.of(details),
        steps=tuple(steps_of(details, artifacts or {})),
        is_settled=artifacts is not None,
        status_message=details.get("status_message") or details.get("status_humanized") or "",
        lines=sum(log.count("\n") for log in logs),
    )


def heard_after(before: RunProgress | None, progress: RunProgress) -> RunProgress:
    """With what is known of failed nodes since an earlier look."""
    earlier = before or RunProgress(progress.run)
    failed = [label for label, said in progress.said.items() if said.has_failed]
    heard = {label: earlier.heard.get(label, 0) + 1 for label in failed}
    return replace(progress, heard=heard, failures=earlier.failures)

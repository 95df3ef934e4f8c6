"""The final state of a node's task, and its reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .progress import RunProgress
from .steps import Result, as_data

LEFT_OUT = "The run does not build this node."


@dataclass(frozen=True)
class Outcome:
    """A task's final state: ``success``, ``failed`` or ``skipped``, and its reason."""

    state: str
    run: RunProgress
    results: dict[str, Result]
    reason: str = ""

    @property
    def is_held_back(self) -> bool:
        """Return whether dbt skipped the node after a failed parent."""
        return self.state == "skipped" and not self.is_left_out

    @property
    def is_left_out(self) -> bool:
        """Return whether the run does not build the node."""
        return self.reason == LEFT_OUT


def outcome_of(
    run: RunProgress, nodes: dict[str, str], folder: str | None = None
) -> Outcome | None:
    """Return the outcome, or None while it may change. The first of ``nodes`` is the task's own."""
    node, *tests = nodes
    found = {key: run.result(key, nodes[key], folder if key == node else None) for key in nodes}
    results = {key: result for key, result in found.items() if result}
    own = found[node]
    if any(result.has_failed for result in results.values()):
        return Outcome("failed", run, results)
    if own and own.status == "skipped":
        return Outcome("skipped", run, results, "dbt skipped it after a failed parent.")
    awaited = (key for key in tests if key not in results)
    if any(run.can_run(key) or run.has_begun(nodes[key]) for key in awaited):
        return None
    if own:
        return Outcome("success", run, results)
    may_have_built = nodes[node] in run.node_lines or run.may_have_built(node, folder)
    return outcome_without_result(run, results, may_have_built)


def outcome_without_result(
    run: RunProgress, results: dict[str, Result], may_have_built: bool
) -> Outcome | None:
    if not run.has_results and may_have_built:
        return None
    if run.run.has_succeeded or not may_have_built:
        return Outcome("skipped", run, results, LEFT_OUT)
    reason = f"The run finished without a result of this node: {run.status_message}"
    return Outcome("failed", run, results, reason)


def lines_about(outcome: Outcome) -> list[str]:
    lines = []
    for result in outcome.results.values():
        rows = "" if result.rows is None else f", {result.rows} rows"
        lines.append(f"{result.unique_id}: {result.status} in {result.seconds:.2f} s{rows}")
        if result.message and (result.has_failed or result.status == "warn"):
            lines.append(result.message)
        if result.compiled_sql and result.has_failed:
            lines.append(f"Compiled SQL of {result.unique_id}:\n{result.compiled_sql.strip()}")
        if result.last_sql:
            lines.append(f"Last SQL for {result.unique_id}:\n{result.last_sql}")
    if outcome.reason:
        lines.append(outcome.reason)
    return [*lines, f"See {outcome.run.run.url}"]


def data_about(outcome: Outcome, node: str) -> dict[str, Any]:
    """Return the outcome as data, for XCom."""
    own = outcome.results.get(node)
    others = [as_data(one) for key, one in outcome.results.items() if key != node]
    about = as_data(own) if own else {"unique_id": node, "status": "not built"}
    reason = {"reason": outcome.reason} if outcome.reason else {}
    return {**about, **reason, **run_of(outcome.run), **({"tests": others} if others else {})}


def run_of(run: RunProgress) -> dict[str, Any]:
    return {"run_id": run.run.id, "run_url": run.run.url}

"""One node's task, which lives in the triggerer and takes no worker."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Hashable
from dataclasses import dataclass
from typing import Any

from ..airflow_compat import (
    BaseEventTrigger,
    TaskFailedEvent,
    TaskSkippedEvent,
    TaskSuccessEvent,
    TriggerEvent,
    XCom,
)
from ..recovery import selector
from .following import LATEST, Followed, follow
from .progress import Progress, Result, RunProgress, as_data

FOLLOWED = "dbt_cloud_run_id"  # XCom: the run that a task's newest state comes from
REBUILD = "rebuild"


@dataclass(frozen=True)
class Outcome:
    """How a task ends: ``success``, ``failed`` or ``skipped``, and why."""

    state: str
    run: RunProgress
    results: dict[str, Result]
    reason: str = ""


class DbtCloudNodeTrigger(BaseEventTrigger):
    """Ends its task as the node's state in dbt Cloud's runs says.

    All triggers of a task group share one poll. If the newest run that builds the node is the one
    that an earlier try has followed to its end, the task was cleared or is tried again: it fires
    ``{"outcome": "rebuild"}`` for a worker to start such a run. Needs Airflow 3.3.

    Args:
        conn_id: The connection to dbt Cloud.
        job: What the job's task tells of its runs, as JSON.
        followed: The run that an earlier try has followed to its end; empty if there is none.
        nodes: Unique id → what dbt's log calls it; the node itself first, then its tests.
        poll_interval: Seconds between two looks.
        max_silence: Seconds without a good answer of dbt Cloud after which the task fails.
        publishes: A node that was built ends in a worker, which alone can publish its asset.
        patience: Seconds before a rebuild is asked for, while another task may do so.
    """

    def __init__(
        self,
        conn_id: str,
        job: str,
        followed: str,
        nodes: dict[str, str],
        poll_interval: float,
        max_silence: float,
        publishes: bool = False,
        patience: float = 0.0,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow's has no types
        self.conn_id = conn_id
        self.job = job
        self.followed = followed
        self.nodes = nodes
        self.poll_interval = poll_interval
        self.max_silence = max_silence
        self.publishes = publishes
        self.patience = patience

    def serialize(self) -> tuple[str, dict[str, Any]]:
        names = ("conn_id", "job", "followed", "nodes", "poll_interval", "max_silence")
        saved = {name: getattr(self, name) for name in (*names, "publishes", "patience")}
        return f"{type(self).__module__}.{type(self).__qualname__}", saved

    @property
    def node(self) -> str:
        """The unique id of the node itself."""
        return next(iter(self.nodes))

    def shared_stream_key(self) -> Hashable:
        return Followed.of(self.conn_id, self.job)

    @classmethod
    async def open_shared_stream(cls, kwargs: dict[str, Any]) -> AsyncIterator[Progress]:
        followed = Followed.of(kwargs["conn_id"], kwargs["job"])
        async for progress in follow(followed, kwargs["poll_interval"]):
            yield progress

    async def filter_shared_stream(
        self, shared_stream: AsyncIterator[Progress]
    ) -> AsyncIterator[TriggerEvent]:
        self._began = self._heard_at = time.monotonic()
        self._told: set[str] = set()
        latest = LATEST.get(Followed.of(self.conn_id, self.job))
        if latest and (event := self.event(latest)):
            yield event
            return
        async for progress in shared_stream:
            if event := self.event(progress):
                yield event
                return

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Without a triggerer, as ``airflow dags test`` runs it: a poll of its own."""
        _, kwargs = self.serialize()
        async for event in self.filter_shared_stream(self.open_shared_stream(kwargs)):
            yield event

    def event(self, progress: Progress) -> TriggerEvent | None:
        """What there is to tell, if anything."""
        if progress.problem:
            silence = time.monotonic() - self._heard_at
            self._tell_once(f"dbt Cloud gave no good answer: {progress.problem}")
            if silence > self.max_silence:
                self.log.error("dbt Cloud said nothing for %.0f s: this task gives up.", silence)
                return TaskFailedEvent()
            return None
        self._heard_at = time.monotonic()
        run = progress.newest(selector(self.node), int(self.followed or 0))
        if run is None:
            return self._rebuild(progress)
        self._tell_once(f"Following dbt Cloud run {run.run.id}: {run.run.url}")
        if run.log_is_unread and not run.is_settled:
            self._tell_once("Its log cannot be read: the results at its end tell.")
        outcome = outcome_of(run, self.nodes)
        if outcome is None:
            self._tell_progress(run)
            return None
        is_outdated = outcome.state == "skipped" and progress.runs[-1].run.id > run.run.id
        return self._rebuild(progress) if is_outdated else self._end(outcome)

    def _rebuild(self, progress: Progress) -> TriggerEvent | None:
        waited = time.monotonic() - self._began
        if progress.is_active or waited < self.patience:
            self._tell_once("To be built again, once the run before has ended.")
            return None
        return TriggerEvent({"outcome": REBUILD})  # type: ignore[no-untyped-call]

    def _tell_progress(self, run: RunProgress) -> None:
        for unique_id, label in self.nodes.items():
            if label in run.said:
                self._tell_once(run.said[label].line)
            elif result := run.result(unique_id, label):
                self._tell_once(f"{unique_id}: {result.status}")

    def _tell_once(self, line: str) -> None:
        if line not in self._told:
            self._told.add(line)
            self.log.info(line)

    def _end(self, outcome: Outcome) -> TriggerEvent:
        for line in lines_about(outcome):
            self._tell_once(line)
        told = data_about(outcome, self.node)
        xcoms: dict[str, Any] = {FOLLOWED: outcome.run.run.id, "return_value": told}
        if outcome.state == "failed":
            self._remember(outcome.run.run.id)
            return TaskFailedEvent(xcoms=xcoms)
        if outcome.state == "skipped":
            return TaskSkippedEvent(xcoms=xcoms)
        if self.publishes and told["status"] == "success":
            return TriggerEvent({"outcome": "built", **xcoms})  # type: ignore[no-untyped-call]
        return TaskSuccessEvent(xcoms=xcoms)

    def _remember(self, run_id: int) -> None:
        """Airflow keeps no XCom of a task that fails and is tried again."""
        ti: Any = self.task_instance
        if ti:  # `dag.test()` gives a trigger none
            place = {"dag_id": ti.dag_id, "task_id": ti.task_id, "run_id": ti.run_id}
            XCom.set(FOLLOWED, run_id, **place, map_index=ti.map_index)


def outcome_of(run: RunProgress, nodes: dict[str, str]) -> Outcome | None:
    """None as long as the run may still say otherwise. The first of ``nodes`` is the task's own."""
    found = {key: run.result(key, label) for key, label in nodes.items()}
    results = {key: result for key, result in found.items() if result}
    own = found[next(iter(nodes))]
    if any(result.has_failed for result in results.values()):
        return Outcome("failed", run, results)
    if own and own.status == "skipped":
        return Outcome("skipped", run, results, "dbt skipped it: something before it failed.")
    if own and (len(results) == len(nodes) or run.is_settled or not run.can_test):
        return Outcome("success", run, results)
    if not run.is_settled:
        return None
    if run.run.has_succeeded:
        return Outcome("skipped", run, results, "The run does not build this node.")
    return Outcome("failed", run, results, f"The run ended before this node: {run.status_message}")


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
    """The same as data, for XCom."""
    own = outcome.results.get(node)
    others = [as_data(one) for key, one in outcome.results.items() if key != node]
    about = as_data(own) if own else {"unique_id": node, "status": "not built"}
    reason = {"reason": outcome.reason} if outcome.reason else {}
    run = {"run_id": outcome.run.run.id, "run_url": outcome.run.run.url}
    return {**about, **reason, **run, **({"tests": others} if others else {})}

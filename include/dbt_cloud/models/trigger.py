"""One node's task, which lives in the triggerer and takes no worker."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Hashable
from typing import Any

from ..airflow.compat import (
    BaseEventTrigger,
    TaskFailedEvent,
    TaskSkippedEvent,
    TaskSuccessEvent,
    TriggerEvent,
    XCom,
)
from ..run.polling import Silence
from ..run.recovery import selector
from .following import LATEST, NO_RUN, Followed, follow
from .outcome import Outcome, data_about, lines_about, outcome_of, run_of
from .progress import Progress, RunProgress

FOLLOWED = "dbt_cloud_run_id"  # XCom: the run that a task's state comes from
REBUILD = "rebuild"


class DbtCloudNodeTrigger(BaseEventTrigger):
    """Ends its task as the node's state in dbt Cloud's runs says.

    All triggers of a task group share one poll. If the newest run that builds the node is the one
    that an earlier try has followed to its end, the task was cleared or is tried again: it fires
    ``{"outcome": "rebuild"}`` for a worker to start such a run. A node that the job's run does not
    build stays skipped. Needs Airflow 3.3.

    Args:
        conn_id: The connection to dbt Cloud.
        job: What the job's task tells of its runs, as JSON.
        followed: The run that an earlier try has followed to its end; empty if there is none.
        nodes: Unique id → what dbt's log calls it; the node itself first, then its tests.
        poll_interval: Seconds between two looks.
        max_silence: Seconds without a good answer of dbt Cloud after which the task fails.
        publishes: A node that was built ends in a worker, which alone can publish its asset.
        patience: Seconds before a rebuild is asked for, while another task may do so.
        folder: The folder of the node's file, as in the lineage file; None if it is not known.
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
        folder: str | None = None,
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
        self.folder = folder
        self._began, self._silence = time.monotonic(), Silence()
        self._told: set[str] = set()

    def serialize(self) -> tuple[str, dict[str, Any]]:
        names = ["conn_id", "job", "followed", "nodes", "poll_interval", "max_silence"]
        names += ["publishes", "patience", "folder"]
        saved = {name: getattr(self, name) for name in names}
        return f"{type(self).__module__}.{type(self).__qualname__}", saved

    @property
    def node(self) -> str:
        """The unique id of the node itself."""
        return next(iter(self.nodes))

    def shared_stream_key(self) -> Hashable | None:
        """None if there is no run to follow: then nothing is polled."""
        return Followed.of(self.conn_id, self.job) if self.job else None

    @classmethod
    async def open_shared_stream(cls, kwargs: dict[str, Any]) -> AsyncIterator[Progress]:
        followed = Followed.of(kwargs["conn_id"], kwargs["job"])
        async for progress in follow(followed, kwargs["poll_interval"]):
            yield progress

    async def filter_shared_stream(
        self, shared_stream: AsyncIterator[Progress]
    ) -> AsyncIterator[TriggerEvent]:
        latest = LATEST.get(Followed.of(self.conn_id, self.job))
        if latest and (event := self.event(latest)):
            yield event
            return
        async for progress in shared_stream:
            if event := self.event(progress):
                yield event
                return

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Without a run to follow, or as ``airflow dags test`` runs it: with a poll of its own."""
        if not self.job:
            self.log.warning(NO_RUN)
            yield TaskSkippedEvent()
            return
        _, kwargs = self.serialize()
        async for event in self.filter_shared_stream(self.open_shared_stream(kwargs)):
            yield event

    def event(self, progress: Progress) -> TriggerEvent | None:
        """What there is to tell, if anything."""
        self._silence.update(is_good=not progress.problem)
        if progress.problem:
            self._tell_once(f"dbt Cloud gave no good answer: {progress.problem}")
            return self._give_up(progress) if self._silence.seconds > self.max_silence else None
        run = progress.newest(selector(self.node), int(self.followed or 0))
        if run is None:
            return self._event_again(progress)
        self._tell_once(f"Following dbt Cloud run {run.run.id}: {run.run.url}")
        if run.log_is_unread and not run.is_settled:
            self._tell_once("Its log cannot be read: the results at its end tell.")
        outcome = outcome_of(run, self.nodes, self.folder)
        if outcome is None:
            self._tell_progress(run)
            return None
        # What had kept dbt from building it was built again since.
        is_outdated = outcome.is_held_back and progress.runs[-1].run.id > run.run.id
        return self._rebuild(progress) if is_outdated else self._end(outcome)

    def _event_again(self, progress: Progress) -> TriggerEvent | None:
        """An earlier try has followed the newest run: a node that it builds is built again."""
        outcome = outcome_of(progress.job_run, self.nodes, self.folder)
        is_left_out = outcome is not None and outcome.is_left_out
        return self._end(outcome) if outcome and is_left_out else self._rebuild(progress)

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
        if outcome.state == "success" and self.publishes and told["status"] == "success":
            return TriggerEvent({"outcome": "built", **xcoms})  # type: ignore[no-untyped-call]
        if self.task_instance:  # `dag.test()` gives a trigger none
            remember(self.task_instance, self.job, outcome.run.run.id)
        ending = {"failed": TaskFailedEvent, "skipped": TaskSkippedEvent}
        return ending.get(outcome.state, TaskSuccessEvent)(xcoms=xcoms)

    def _give_up(self, progress: Progress) -> TriggerEvent:
        """Without ``FOLLOWED``: the next try follows the same run."""
        reason = f"dbt Cloud said nothing for {self._silence.seconds:.0f} s: {progress.problem}"
        self.log.error("%s", reason)
        run = progress.newest(selector(self.node), int(self.followed or 0))
        place = run_of(run) if run else {"run_id": Followed.of(self.conn_id, self.job).runs[-1]}
        told = {"unique_id": self.node, "status": "unknown", "reason": reason, **place}
        return TaskFailedEvent(xcoms={"return_value": told})


def followed_by(task_id: str) -> str:
    """The key of the XCom that tells a task's later tries which run it has followed to its end."""
    return f"{FOLLOWED}.{task_id}"


def remember(ti: Any, job: str, run_id: int) -> None:
    """Tell later tries which run this task has followed to its end.

    With the XComs of the job's task: Airflow 3.4 hides a task's own from its later tries.
    """
    if task_id := json.loads(job).get("task_id"):  # what an earlier version has told has none
        place = {"dag_id": ti.dag_id, "task_id": task_id, "run_id": ti.run_id}
        XCom.set(followed_by(ti.task_id), run_id, **place)

"""The trigger of one node's task, which runs in the triggerer without a worker."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Hashable
from dataclasses import asdict, dataclass
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
from .following import LATEST, NO_RUN, GroupRuns, follow
from .outcome import Outcome, data_about, lines_about, outcome_of, run_of
from .progress import Progress, RunProgress

FOLLOWED = "dbt_cloud_run_id"  # XCom with the run that a task's state comes from
REBUILD, AFTER = "rebuild", "after"


@dataclass(eq=False, repr=False)
class DbtCloudNodeTrigger(BaseEventTrigger):
    """Ends its task with the node's state in dbt Cloud's runs.

    All triggers of a task group share one poll. If an earlier try already followed the newest run
    that builds the node, the task was cleared or retried. The trigger then fires ``{"outcome":
    "rebuild"}``, and a worker starts another run. A node that the job's run does not build stays
    skipped. Needs Airflow 3.3.

    Attributes:
        conn_id: The connection to dbt Cloud.
        job: The XCom of the job's task, as JSON.
        followed: The id of the run that an earlier try followed to its end, or empty.
        nodes: Unique id → name in dbt's log: the node itself first, then its tests.
        poll_interval: Seconds between two polls.
        max_silence: Seconds of failed polls after which the task fails.
        publishes: Whether a built node continues in a worker, to publish its asset.
        patience: Seconds before a rebuild is requested, so that another task can do so.
        folder: The folder of the node's file, as in the lineage file; None if unavailable.
    """

    # Airflow renders the templates in `job` and `followed` in place.
    conn_id: str
    job: str
    followed: str
    nodes: dict[str, str]
    poll_interval: float
    max_silence: float
    publishes: bool = False
    patience: float = 0.0
    folder: str | None = None

    def __post_init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow's has no types
        self._began, self._silence = time.monotonic(), Silence()
        self._logged: set[str] = set()

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return f"{type(self).__module__}.{type(self).__qualname__}", asdict(self)

    @property
    def node(self) -> str:
        """Return the unique id of the node itself."""
        return next(iter(self.nodes))

    def shared_stream_key(self) -> Hashable | None:
        """Return the runs to follow; None without any, so that nothing is polled."""
        return GroupRuns.of(self.conn_id, self.job) if self.job else None

    @classmethod
    async def open_shared_stream(cls, kwargs: dict[str, Any]) -> AsyncIterator[Progress]:
        group = GroupRuns.of(kwargs["conn_id"], kwargs["job"])
        async for progress in follow(group, kwargs["poll_interval"]):
            yield progress

    async def filter_shared_stream(
        self, shared_stream: AsyncIterator[Progress]
    ) -> AsyncIterator[TriggerEvent]:
        latest = LATEST.get(GroupRuns.of(self.conn_id, self.job))
        if latest and (event := self.event(latest)):
            yield event
            return
        async for progress in shared_stream:
            if event := self.event(progress):
                yield event
                return

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Run without a shared poll: without a run to follow, or in ``airflow dags test``."""
        if not self.job:
            self.log.warning(NO_RUN)
            yield TaskSkippedEvent()
            return
        _, kwargs = self.serialize()
        async for event in self.filter_shared_stream(self.open_shared_stream(kwargs)):
            yield event

    def event(self, progress: Progress) -> TriggerEvent | None:
        """Return the event to fire, if any."""
        self._silence.update(is_good=not progress.problem)
        if progress.problem:
            self._log_once(f"Could not read the runs from dbt Cloud: {progress.problem}")
            return self._give_up(progress) if self._silence.seconds > self.max_silence else None
        run = progress.newest(selector(self.node), int(self.followed or 0))
        if run is None:
            return self._event_again(progress)
        self._log_once(f"Following dbt Cloud run {run.run.id}: {run.run.url}")
        if run.is_log_unreadable and not run.has_results:
            self._log_once("Could not read nodes from its log: waiting for its results.")
        outcome = outcome_of(run, self.nodes, self.folder)
        if outcome is None:
            self._log_progress(run)
            return None
        # The failed parent may have been rebuilt since.
        is_outdated = outcome.is_held_back and progress.runs[-1].run.id > run.run.id
        return self._rebuild(progress, run.run.id) if is_outdated else self._end(outcome)

    def _event_again(self, progress: Progress) -> TriggerEvent | None:
        """Return the event after an earlier try followed the newest run: rebuild the node."""
        outcome = outcome_of(progress.job_run, self.nodes, self.folder)
        is_left_out = outcome is not None and outcome.is_left_out
        if outcome and is_left_out:
            return self._end(outcome)
        return self._rebuild(progress, int(self.followed or 0))

    def _rebuild(self, progress: Progress, after: int) -> TriggerEvent | None:
        """Return the event that asks for a run after run ``after``, unless one is active."""
        waited = time.monotonic() - self._began
        if progress.is_active or waited < self.patience:
            self._log_once("This node is rebuilt after the active run has finished.")
            return None
        return TriggerEvent({"outcome": REBUILD, AFTER: after})  # type: ignore[no-untyped-call]

    def _log_progress(self, run: RunProgress) -> None:
        for unique_id, label in self.nodes.items():
            if label in run.node_lines:
                self._log_once(run.node_lines[label].line)
            elif result := run.result(unique_id, label):
                self._log_once(f"{unique_id}: {result.status}")

    def _log_once(self, line: str) -> None:
        if line not in self._logged:
            self._logged.add(line)
            self.log.info(line)

    def _end(self, outcome: Outcome) -> TriggerEvent:
        for line in lines_about(outcome):
            self._log_once(line)
        result = data_about(outcome, self.node)
        xcoms: dict[str, Any] = {FOLLOWED: outcome.run.run.id, "return_value": result}
        if outcome.state == "success" and self.publishes and result["status"] == "success":
            return TriggerEvent({"outcome": "built", **xcoms})  # type: ignore[no-untyped-call]
        if self.task_instance:  # `dag.test()` gives a trigger none
            remember(self.task_instance, self.job, outcome.run.run.id)
        ending = {"failed": TaskFailedEvent, "skipped": TaskSkippedEvent}
        return ending.get(outcome.state, TaskSuccessEvent)(xcoms=xcoms)

    def _give_up(self, progress: Progress) -> TriggerEvent:
        """Fail the task; omit the XCom ``FOLLOWED``, so that the next try follows the same run."""
        reason = f"dbt Cloud was unreadable for {self._silence.seconds:.0f} s: {progress.problem}"
        self.log.error("%s", reason)
        run = progress.newest(selector(self.node), int(self.followed or 0))
        place = run_of(run) if run else {"run_id": GroupRuns.of(self.conn_id, self.job).runs[-1]}
        result = {"unique_id": self.node, "status": "unknown", "reason": reason, **place}
        return TaskFailedEvent(xcoms={"return_value": result})


def followed_by(task_id: str) -> str:
    """Return the key of the XCom with the run that a task followed to its end, for later tries."""
    return f"{FOLLOWED}.{task_id}"


def remember(ti: Any, job: str, run_id: int) -> None:
    """Store for later tries the run that this task followed to its end.

    Use the XComs of the job's task, since Airflow 3.4 hides a task's own from its later tries.
    """
    place = {"dag_id": ti.dag_id, "task_id": json.loads(job)["task_id"], "run_id": ti.run_id}
    XCom.set(followed_by(ti.task_id), run_id, **place)

"""Builds nodes again whose tasks were cleared: one run, however many tasks were cleared together.

The tasks that wait for such a run choose one among them by their names; it alone asks for the run,
and the others find it by the key in its cause.
"""

from __future__ import annotations

import json
import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..airflow_compat import DBT_CAUSE_MAX_LENGTH, AirflowException
from ..client import DbtCloudClient
from ..commands import can_build, select_only
from ..exactly_once import LOOK_SECONDS, ExactlyOnce, newest_id
from ..idempotency_key import IdempotencyKey
from ..node_names import distinct_names
from ..recovery import MAX_NODES, overrides_of, planned_commands, selector
from ..runs import Run
from ..task_state import TaskState
from .following import look_in_worker, newest_runs, rebuilding_runs
from .outcome import outcome_of
from .progress import RunProgress

if TYPE_CHECKING:
    from airflow.sdk import Context

    from .operators import DbtCloudNodeOperator

log = logging.getLogger(__name__)
WAITING = {"deferred", "queued", "restarting", "running", "scheduled", "up_for_retry"}
ENDED = {"failed", "removed", "skipped", "success", "upstream_failed"}
PATIENCE = 10.0  # seconds until a task that was not chosen looks again


class Rebuilding:
    """``task`` is the one whose worker this is, ``job`` what the job's task tells of its runs."""

    def __init__(self, task: DbtCloudNodeOperator, context: Context, job: dict[str, Any]) -> None:
        self.task = task
        self.context = context
        self.job = job
        self.client = task.client(job)
        self.selector = selector(task.unique_id)

    def run(self) -> float:
        """Starts the run if nobody has; returns the seconds until the task may ask again."""
        task_state = TaskState(self.context, self.task.lost_answer_seconds)
        once = OneRebuild.of(self.client, self.job, self.context, task_state)
        once.wait_for_lost_answer()
        if self.is_asked_for():
            return 0.0
        states = self.states()
        chosen = min(task_id for task_id in states if states[task_id] in WAITING)
        if chosen != self.task.task_id:
            log.info("The run that builds this node again is for %s to start.", chosen)
            return PATIENCE
        once.start(self.nodes(states))
        return 0.0

    def is_asked_for(self) -> bool:
        after = int(self.task.followed or 0)
        listed = runs_since(self.client, self.job)
        return any(
            run.id > after and self.selector in selection
            for run, selection in rebuilding_runs(listed, self.job["key"])
        )

    def states(self) -> dict[str, str | None]:
        """Task id → state, of all nodes' tasks of the group in this Dag run."""
        ti: Any = self.context["ti"]
        # Without `task_ids`: the names of some thousand tasks are too long for an address.
        found = ti.get_task_states(dag_id=ti.dag_id, run_ids=[ti.run_id]).get(ti.run_id, {})
        states = {task.task_id: found.get(task.task_id) for task in self.task.siblings()}
        return states | {self.task.task_id: "running"}

    def nodes(self, states: dict[str, str | None]) -> list[str]:
        """Unique ids of what waits for this run, and of what follows it and has not ended.

        Without nodes that the job's run does not build.
        """
        job_run = look_in_worker(self.client, self.task.conn_id, json.dumps(self.job)).job_run
        siblings = {task.task_id: task for task in self.task.siblings()}
        left_out = {task_id for task_id, task in siblings.items() if is_left_out(task, job_run)}
        waiting = {key for key, state in states.items() if state in WAITING} - left_out
        wanted, left = set(), [self.task.task_id, *waiting]
        while left:
            task_id = left.pop()
            if task_id in wanted or task_id not in siblings:
                continue
            wanted.add(task_id)
            following = siblings[task_id].downstream_task_ids
            left.extend(one for one in following if states.get(one) not in ENDED)
        return sorted(siblings[task_id].unique_id for task_id in wanted - left_out)


def is_left_out(task: DbtCloudNodeOperator, job_run: RunProgress) -> bool:
    outcome = outcome_of(job_run, task.nodes, task.folder)
    return outcome is not None and outcome.is_left_out


def runs_since(client: DbtCloudClient, job: dict[str, Any]) -> list[dict[str, Any]]:
    """The job's runs since its task has started one, newest first."""
    found: list[dict[str, Any]] = client.get("runs/", **newest_runs(job["job_id"], job["runs"][0]))
    return found


@dataclass(frozen=True)
class OneRebuild(ExactlyOnce):
    """Asks for the run once, and looks whether a lost answer has started it."""

    job: dict[str, Any] = field(default_factory=dict)
    commands: list[str] = field(default_factory=list)

    @classmethod
    def of(
        cls, client: DbtCloudClient, job: dict[str, Any], context: Context, task_state: TaskState
    ) -> OneRebuild:
        last = client.get(f"runs/{job['runs'][-1]}/", include_related="job,trigger")
        return cls(
            client=client,
            job_id=job["job_id"],
            key=IdempotencyKey.of(context),
            task_state=task_state,
            since=Run.of(last).created_at,
            body=overrides_of(last),
            job=job,
            commands=planned_commands(last),
        )

    def wait_for_lost_answer(self) -> None:
        """A worker that died while it asked may have started a run that is not listed yet."""
        while self.task_state.awaits_run(newest_id(self._runs_of_task())):
            time.sleep(LOOK_SECONDS)

    def start(self, nodes: list[str]) -> Run:
        """With the job's own commands, as far as they build some of these ``nodes``."""
        if len(nodes) > MAX_NODES:
            raise AirflowException(
                f"{len(nodes)} nodes are too many: clear the job's task instead."
            )
        commands = self.commands_for(nodes)
        if not commands:
            raise AirflowException("No command of the job selects nodes: clear the job's task.")
        names = sorted(distinct_names(nodes).values())
        log.info("To be built again: %s", ", ".join(names))
        ending = f" [{self.job['key']}]"
        cause = f"Airflow builds again: {' '.join(names)}"[: DBT_CAUSE_MAX_LENGTH - len(ending)]
        body = {**self.body, "cause": cause + ending, "steps_override": commands}
        runs = self._runs_of_task()
        return self._start_afresh(runs[-1] if runs else None, body, "nodes are to be built again")

    def commands_for(self, nodes: list[str]) -> list[str]:
        """Without those that would build nothing: with ``--warn-error`` they fail."""
        able = [one for one in self.commands if can_build(one, nodes)] or self.commands
        selectors = [selector(node) for node in nodes]
        return [command for one in able if (command := select_only(one, selectors))]

    def _runs_of_task(self) -> list[Run]:
        """The runs that rebuild nodes of this group, oldest first."""
        listed = runs_since(self.client, self.job)
        return [run for run, _selection in rebuilding_runs(listed, self.job["key"])]

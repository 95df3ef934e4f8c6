"""Builds nodes again whose tasks were cleared: one run, however many tasks were cleared together.

The tasks that wait for such a run choose one among them by their names; it alone asks for the run,
and the others find it by the key in its cause.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..airflow_compat import DBT_CAUSE_MAX_LENGTH, AirflowException
from ..client import DbtCloudClient
from ..exactly_once import LOOK_SECONDS, ExactlyOnce, newest_id
from ..idempotency_key import IdempotencyKey
from ..recovery import MAX_NODES, overrides_of, planned_commands, select_only, selector
from ..runs import Run
from ..task_state import TaskState
from .following import newest_runs, rebuilding_runs, selected

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
        once = OneRebuild.of(self.client, self.job, self.context)
        once.wait_for_lost_answer()
        if self.is_asked_for():
            return 0.0
        states = self.states()
        chosen = min(task_id for task_id in states if states[task_id] in WAITING)
        if chosen != self.task.task_id:
            log.info("The run that builds this node again is for %s to start.", chosen)
            return PATIENCE
        nodes = self.nodes(states)
        log.info("To be built again: %s", ", ".join(nodes))
        once.start(nodes)
        return 0.0

    def is_asked_for(self) -> bool:
        after = int(self.task.followed or 0)
        listed = runs_since(self.client, self.job)
        return any(
            run_id > after and self.selector in selected(commands)
            for run_id, commands in rebuilding_runs(listed, self.job["key"])
        )

    def states(self) -> dict[str, str | None]:
        """Task id → state, of all nodes' tasks of the group in this Dag run."""
        ti: Any = self.context["ti"]
        # Without `task_ids`: the names of some thousand tasks are too long for an address.
        found = ti.get_task_states(dag_id=ti.dag_id, run_ids=[ti.run_id]).get(ti.run_id, {})
        states = {task.task_id: found.get(task.task_id) for task in self.task.siblings()}
        return states | {self.task.task_id: "running"}

    def nodes(self, states: dict[str, str | None]) -> list[str]:
        """How dbt selects what waits for this run, and what follows it and has not ended."""
        siblings = {task.task_id: task for task in self.task.siblings()}
        wanted, left = set(), [key for key, state in states.items() if state in WAITING]
        while left:
            task_id = left.pop()
            if task_id in wanted or task_id not in siblings:
                continue
            wanted.add(task_id)
            following = siblings[task_id].downstream_task_ids
            left.extend(one for one in following if states.get(one) not in ENDED)
        return sorted(selector(siblings[task_id].unique_id) for task_id in wanted)


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
    def of(cls, client: DbtCloudClient, job: dict[str, Any], context: Context) -> OneRebuild:
        last = client.get(f"runs/{job['runs'][-1]}/", include_related="job,trigger")
        return cls(
            client=client,
            job_id=job["job_id"],
            key=IdempotencyKey.of(context),
            task_state=TaskState(context.get("task_state_store"), generation=0),
            since=Run.of(last).created_at,
            body=overrides_of(last),
            job=job,
            commands=planned_commands(last),
        )

    def wait_for_lost_answer(self) -> None:
        """A worker that died while it asked may have started a run that is not listed yet."""
        while self.task_state.is_waiting(newest_id(self._runs_of_task())):
            time.sleep(LOOK_SECONDS)

    def start(self, nodes: list[str]) -> Run:
        """With the job's own commands, as far as they select nodes."""
        if len(nodes) > MAX_NODES:
            raise AirflowException(
                f"{len(nodes)} nodes are too many: clear the job's task instead."
            )
        commands = [command for one in self.commands if (command := select_only(one, nodes))]
        if not commands:
            raise AirflowException("No command of the job selects nodes: clear the job's task.")
        ending = f" [{self.job['key']}]"
        cause = f"Airflow builds again: {' '.join(nodes)}"[: DBT_CAUSE_MAX_LENGTH - len(ending)]
        body = {**self.body, "cause": cause + ending, "steps_override": commands}
        runs = self._runs_of_task()
        return self._start_afresh(runs[-1] if runs else None, body, "nodes are to be built again")

    def _runs_of_task(self) -> list[Run]:
        """The runs that rebuild nodes of this group, oldest first."""
        listed = reversed(runs_since(self.client, self.job))
        return [run for one in listed if self.job["key"] in (run := Run.of(one)).cause]

"""Operators of a task group that start the job's run and follow its nodes."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudHook
from airflow.sdk import BaseOperator, TriggerRule

from ..airflow.compat import (
    AirflowException,
    AirflowSkipException,
    StartTriggerArgs,
)
from ..airflow.openlineage_provider import is_active, parent_of
from ..api.client import DbtCloudClient
from ..run.idempotency_key import IdempotencyKey
from ..run.operator import DbtCloudRunJobExactlyOnceOperator
from ..run.recovery import selector
from ..run.task_state import TaskState
from .assets import extra_of
from .following import poll_in_worker, rebuilding_runs
from .group_events import PARENT
from .outcome import outcome_of
from .progress import RunProgress
from .rebuild_run import OneRebuild, runs_since
from .resuming import runs_finished_by
from .trigger import AFTER, FOLLOWED, REBUILD, DbtCloudNodeTrigger, followed_by, remember

if TYPE_CHECKING:
    from airflow.sdk import DAG, Asset, Context

log = logging.getLogger(__name__)
UNFINISHED_STATES = {"deferred", "queued", "restarting", "running", "scheduled", "up_for_retry"}
FINISHED_STATES = {"failed", "removed", "skipped", "success", "upstream_failed"}
RECHECK_SECONDS = 10.0  # until a task that was not chosen checks again
JOB = "dbt_cloud_job"  # XCom with the job's runs
TRIGGER = f"{DbtCloudNodeTrigger.__module__}.{DbtCloudNodeTrigger.__qualname__}"


def xcom_expression(task_id: str, key: str) -> str:
    """Return a template's expression; without ``map_indexes`` the triggerer would wait forever."""
    return f"ti.xcom_pull(task_ids='{task_id}', key='{key}', map_indexes=-1) or ''"


class DbtCloudStartJobOperator(DbtCloudRunJobExactlyOnceOperator):
    """Starts the job's run exactly once, or resumes it, for the nodes' tasks to follow."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(wait_for_termination=False, **kwargs)

    def execute(self, context: Context) -> int:
        run_id = super().execute(context)
        job = {
            "account_id": self.client.account_id,
            "job_id": self.job_id,
            "runs": runs_finished_by(self, context, run_id),
            "task_id": self.task_id,
            "key": f"airflow-models:{IdempotencyKey.of(context).token}",
            PARENT: parent_of(context["ti"]) if is_active() else None,
        }
        context["ti"].xcom_push(key=JOB, value=json.dumps(job))
        return run_id


class DbtCloudNodeOperator(BaseOperator):
    """A node of the dbt project, whose task ends with the node's state in the job's run.

    It starts in the triggerer. It uses a worker only to start a run that rebuilds the node, or to
    publish its asset.

    Its trigger rule is ``none_failed``, since the children of a node that the run does not build,
    and whose task is therefore skipped, may be built.

    Args:
        run_job: The task that starts the job's run, with the limits of waiting.
        nodes: Unique id → name in dbt's log: the node itself first, then the tests of its task.
        asset: The asset to publish when the node was built.
        folder: The folder of the node's file, as in the lineage file.
    """

    template_fields = ("job", "followed")
    ui_color = "#ffe0cc"
    start_from_trigger = True

    def __init__(
        self,
        *,
        run_job: DbtCloudStartJobOperator,
        nodes: dict[str, str],
        asset: Asset | None,
        folder: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(trigger_rule=TriggerRule.NONE_FAILED, **kwargs)
        self.job_task_id = run_job.task_id
        self.nodes = nodes
        self.folder = folder
        self.job = f"{{{{ {xcom_expression(self.job_task_id, JOB)} }}}}"
        # Only later tries need the run that an earlier one followed.
        followed = xcom_expression(self.job_task_id, followed_by(self.task_id))
        self.followed = f"{{{{ {followed} if ti.try_number > 1 else '' }}}}"
        self.unique_id = next(iter(nodes))
        self.asset = asset
        self.conn_id = run_job.dbt_cloud_conn_id
        self.lost_answer_seconds = run_job.lost_answer_seconds
        self.trigger_kwargs: dict[str, Any] = {
            "conn_id": self.conn_id,
            "nodes": nodes,
            "poll_interval": run_job.check_interval,
            "max_silence": run_job.max_silence,
            "publishes": asset is not None,
            "folder": folder,
        }
        self.start_trigger_args = StartTriggerArgs(
            trigger_cls=TRIGGER,
            trigger_kwargs={**self.trigger_kwargs, "job": self.job, "followed": self.followed},
            next_method="execute_complete",
        )

    def execute(self, context: Context) -> None:
        """Defer; only ``airflow dags test`` calls this, since it cannot start in the triggerer."""
        self.wait()

    def wait(self, patience: float = 0.0) -> None:
        runs: dict[str, Any] = {"job": self.job, "followed": self.followed, "patience": patience}
        trigger = DbtCloudNodeTrigger(**self.trigger_kwargs, **runs)
        self.defer(trigger=trigger, method_name="execute_complete")

    def execute_complete(self, context: Context, event: Any = None) -> Any:
        if not isinstance(event, dict):  # `dag.test()` passes the state of the task
            if event == "success":
                return None
            ending = AirflowSkipException if event == "skipped" else AirflowException
            raise ending(f"The node's task ended with {event}: see its log for the reason.")
        if event["outcome"] == REBUILD:
            self.wait(Rebuilding(self, context, json.loads(self.job), event[AFTER]).run())
        context["ti"].xcom_push(key=FOLLOWED, value=event[FOLLOWED])
        remember(context["ti"], self.job, event[FOLLOWED])
        result: dict[str, Any] = event["return_value"]
        if self.asset:
            context["outlet_events"][self.asset].extra.update(extra_of(result))
        return result

    def client(self, job: dict[str, Any]) -> DbtCloudClient:
        return DbtCloudClient(DbtCloudHook(self.conn_id), job["account_id"])

    def siblings(self) -> list[DbtCloudNodeOperator]:
        """Return all nodes' tasks of the group, including this one."""
        return node_tasks(self.dag, self.job_task_id)


def node_tasks(dag: DAG | None, job_task_id: str) -> list[DbtCloudNodeOperator]:
    """Return the nodes' tasks that follow the runs of a job's task."""
    tasks = [task for task in dag.tasks if isinstance(task, DbtCloudNodeOperator)] if dag else []
    return [task for task in tasks if task.job_task_id == job_task_id]


class Rebuilding:
    """Rebuilds the nodes of cleared tasks, with one run for all tasks that were cleared together.

    Of the waiting tasks the first by name starts the run. The others find it by the key in its
    cause.

    Args:
        task: The task of this worker.
        context: The task's context.
        job: The XCom of the job's task.
        after: The newest run whose result of the node does not count.
    """

    def __init__(
        self, task: DbtCloudNodeOperator, context: Context, job: dict[str, Any], after: int
    ) -> None:
        self.task = task
        self.context = context
        self.job = job
        self.after = after
        self.client = task.client(job)
        self.selector = selector(task.unique_id)

    def run(self) -> float:
        """Start the run if needed; return the seconds until the task may check again."""
        task_state = TaskState(self.context, self.task.lost_answer_seconds)
        once = OneRebuild.of(self.client, self.job, self.context, task_state)
        once.wait_for_lost_answer()
        if self.is_requested():
            return 0.0
        states = self.states()
        chosen = min(task_id for task_id in states if states[task_id] in UNFINISHED_STATES)
        if chosen != self.task.task_id:
            log.info("The task %s starts the run that rebuilds this node.", chosen)
            return RECHECK_SECONDS
        once.start(self.nodes(states))
        return 0.0

    def is_requested(self) -> bool:
        listed = runs_since(self.client, self.job)
        return any(
            run.id > self.after and self.selector in selection
            for run, selection in rebuilding_runs(listed, self.job["key"])
        )

    def states(self) -> dict[str, str | None]:
        """Return task id → state of all nodes' tasks of the group in this Dag run."""
        ti: Any = self.context["ti"]
        # Without `task_ids`: the ids of some thousand tasks are too long for a URL.
        found = ti.get_task_states(dag_id=ti.dag_id, run_ids=[ti.run_id]).get(ti.run_id, {})
        states = {task.task_id: found.get(task.task_id) for task in self.task.siblings()}
        return states | {self.task.task_id: "running"}

    def nodes(self, states: dict[str, str | None]) -> list[str]:
        """Return the unique ids of waiting nodes and their unfinished children.

        Omit nodes that the job's run does not build.
        """
        job_run = poll_in_worker(self.client, self.task.conn_id, json.dumps(self.job)).job_run
        siblings = {task.task_id: task for task in self.task.siblings()}
        left_out = {task_id for task_id, task in siblings.items() if is_left_out(task, job_run)}
        waiting = {key for key, state in states.items() if state in UNFINISHED_STATES} - left_out
        found, left = set(), [self.task.task_id, *waiting]
        while left:
            task_id = left.pop()
            if task_id in found or task_id not in siblings:
                continue
            found.add(task_id)
            following = siblings[task_id].downstream_task_ids
            left.extend(one for one in following if states.get(one) not in FINISHED_STATES)
        return sorted(siblings[task_id].unique_id for task_id in found - left_out)


def is_left_out(task: DbtCloudNodeOperator, job_run: RunProgress) -> bool:
    outcome = outcome_of(job_run, task.nodes, task.folder)
    return outcome is not None and outcome.is_left_out

"""The last tasks of a task group: the rest of the job's run, and a check of all other tasks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from airflow.sdk import TriggerRule

from ..airflow.compat import AirflowFailException
from ..api.runs import Run
from ..run.failures import CLEAR_OTHERS, describe_failure
from ..run.operator import DbtCloudRunJobExactlyOnceOperator
from ..run.recovery import selector
from .following import NO_RUN, look_in_worker
from .lineage import HOW
from .operators import JOB, DbtCloudNodeOperator, node_tasks
from .progress import Progress, RunProgress
from .steps import Result

if TYPE_CHECKING:
    from airflow.sdk import Context


class DbtCloudRestOfRunOperator(DbtCloudRunJobExactlyOnceOperator):
    """Waits for the end of the job's run, and tells what no other task of the group does.

    It fails if the run was cancelled or failed, unless nodes with a task of their own have failed
    it; and if anything failed that has no task, such as a hook. Marking it failed, clearing it
    while it waits, and its ``execution_timeout`` cancel the run.

    Args:
        job_task_id: The task that starts the job's run.
    """

    def __init__(self, *, job_task_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.job_task_id = job_task_id

    def execute(self, context: Context) -> int:
        self.ti: Any = context["ti"]
        return super().execute(context)

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None) -> int:
        self.ti = context["ti"]
        return super().execute_complete(context, event)

    def run_of_this_task(self, context: Context, job_id: int) -> Run:
        return Run.of(self.client.get(f"runs/{self.job['runs'][-1]}/"))

    def result(self, run_id: int) -> int:
        run = self.progress().of(run_id)
        if run is None or not self.is_explained(run):
            raise AirflowFailException(describe_failure(self.client, run_id, CLEAR_OTHERS))
        if not run.run.has_succeeded:
            self.log.info("%s", describe_failure(self.client, run_id, CLEAR_OTHERS))
        return run_id

    def is_explained(self, run: RunProgress) -> bool:
        """Whether the run has succeeded, or only nodes with a task of their own have failed it."""
        others = [one for key, one in run.results.items() if key not in self.labels]
        for one in others:
            self.log.info("%s: %s. %s", one.unique_id, one.status, one.message)
        if others:
            missing = "If the lineage file lacks some: "
            self.log.info("%d nodes have no task of their own. %s%s.", len(others), missing, HOW)
        if any(one.has_failed for one in others):
            return False
        if run.run.has_succeeded or run.is_explained(self.labels):
            return True
        return any(has_lost(run, task) for task in node_tasks(self.dag, self.job_task_id))

    @property
    def job(self) -> dict[str, Any]:
        """What the job's task tells of its runs."""
        told = self.ti.xcom_pull(task_ids=self.job_task_id, key=JOB, map_indexes=-1)
        if not told:
            raise AirflowFailException(NO_RUN)
        found: dict[str, Any] = json.loads(told)
        return found

    def progress(self) -> Progress:
        """All runs of the group, as the nodes' triggers follow them."""
        return look_in_worker(self.client, self.dbt_cloud_conn_id, json.dumps(self.job))

    @property
    def labels(self) -> dict[str, str]:
        """Unique id → label, of each node that has a task or belongs to one."""
        tasks = node_tasks(self.dag, self.job_task_id)
        return {key: label for task in tasks for key, label in task.nodes.items()}


class DbtCloudCheckResultsOperator(DbtCloudRestOfRunOperator):
    """Compares what dbt's results say with how the nodes' tasks have ended.

    It is the last task of the group: it runs once every other one has ended and none has failed,
    so that a task after the group need not look at single nodes. It fails if a task is green
    whose node has failed, or was skipped for a failure, in the newest run that ran it. That is so
    if the log had said otherwise than the results, or if somebody has marked a task, or cleared it
    without those after it. It also fails if the job's run, or one that built nodes again, has
    failed for another reason than a node with a task: also where ``rest_of_run`` was not cleared
    with the job's task, or marked as a success.

    It cancels no run: what it waits for may build nodes for other tasks.
    """

    cancels = False

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(trigger_rule=TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS, **kwargs)

    def run_of_this_task(self, context: Context, job_id: int) -> Run:
        """The newest run: one that builds nodes again may still have something to do."""
        return self.progress().runs[-1].run

    def result(self, run_id: int) -> int:
        progress = self.progress()
        states = self.ti.get_task_states(dag_id=self.ti.dag_id, run_ids=[self.ti.run_id])
        tasks = node_tasks(self.dag, self.job_task_id)
        of_run = states[self.ti.run_id]
        wrong = [one.task_id for one in tasks if self.is_wrong(one, of_run, progress)]
        if wrong:
            raise AirflowFailException(f"These tasks do not show what dbt did, clear them: {wrong}")
        newest = [progress.newest(selector(one.unique_id), 0) for one in tasks]
        for run in {one.run.id: one for one in (progress.job_run, *newest) if one}.values():
            if not self.is_explained(run):
                raise AirflowFailException(describe_failure(self.client, run.run.id, CLEAR_OTHERS))
        return run_id

    def is_wrong(
        self, task: DbtCloudNodeOperator, states: dict[str, str | None], progress: Progress
    ) -> bool:
        state = states.get(task.task_id)
        for unique_id, label in task.nodes.items():
            run, result = progress.newest_result(unique_id, label)
            is_own = unique_id == task.unique_id
            if run is None or result is None:
                if is_own and state == "success" and has_lost(progress.job_run, task):
                    self.log.error("%s is success, but no run has a result of it.", task.task_id)
                    return True
                continue
            # What kept dbt from building it is not red any more.
            is_held_back = state == result.status == "skipped" and run.run.has_failed
            if is_held_back or not agrees(state, result, is_own):
                about = (task.task_id, state, run.run.id, unique_id, result.status)
                self.log.error("%s is %s, and in run %s %s is %s.", *about)
                return True
        return False


def has_lost(run: RunProgress, task: DbtCloudNodeOperator) -> bool:
    """Whether the task fails, since the run has ended without a result of its node."""
    return run.has_lost(task.unique_id, task.nodes[task.unique_id], task.folder)


def agrees(state: str | None, result: Result, is_own: bool) -> bool:
    """Whether a task may have ended so; ``is_own`` is false of a test that belongs to its node."""
    if state not in ("success", "skipped"):
        return True
    if result.has_failed or not is_own:
        return not result.has_failed
    return result.is_good if state == "success" else result.status == "skipped"

"""The last tasks of a task group: the rest of the job's run, and a check of the other tasks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from airflow.sdk import TriggerRule

from ..airflow.compat import AirflowFailException
from ..airflow.openlineage_provider import is_active, without_datasets
from ..api.runs import Run
from ..lineage_events.emission import emit_runs
from ..run.failures import CLEAR_OTHERS, describe_failure
from ..run.operator import DbtCloudRunJobExactlyOnceOperator
from ..run.recovery import selector
from .following import NO_RUN, poll_in_worker
from .group_events import PARENT, runs_to_emit
from .lineage import REWRITE
from .operators import JOB, DbtCloudNodeOperator, node_tasks
from .progress import Progress, RunProgress
from .steps import Result

if TYPE_CHECKING:
    from airflow.sdk import Context


class DbtCloudRestOfRunOperator(DbtCloudRunJobExactlyOnceOperator):
    """Waits for the end of the job's run, and reports what no other task of the group does.

    It fails if the run was cancelled, if a node without a task failed, such as a hook, or if the
    run failed for another reason than a node with a task. Marking it failed, clearing it while it
    waits, and its ``execution_timeout`` cancel the run.

    Args:
        job_task_id: The task that starts the job's run.
        namespace: The namespace of datasets in OpenLineage events, by default from dbt Cloud.
    """

    def __init__(self, *, job_task_id: str, namespace: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.job_task_id = job_task_id
        self.namespace = namespace
        self.to_emit: list[int] = []
        self.parent: dict[str, Any] | None = None

    def execute(self, context: Context) -> int:
        self.ti: Any = context["ti"]
        return super().execute(context)

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None) -> int:
        self.ti = context["ti"]
        return super().execute_complete(context, event)

    def run_of_this_task(self, context: Context, job_id: int) -> Run:
        return Run.of(self.client.get(f"runs/{self.job['runs'][-1]}/"))

    def result(self, run_id: int) -> int:
        self.plan_lineage()
        run = self.progress().of(run_id)
        if run is None or not self.is_explained(run):
            raise AirflowFailException(describe_failure(self.client, run_id, CLEAR_OTHERS))
        if not run.run.has_succeeded:
            self.log.info("%s", describe_failure(self.client, run_id, CLEAR_OTHERS))
        return run_id

    def is_explained(self, run: RunProgress) -> bool:
        """Return whether the run succeeded, or only nodes with their own tasks failed it."""
        others = [one for key, one in run.results.items() if key not in self.labels]
        for one in others:
            self.log.info("%s: %s. %s", one.unique_id, one.status, one.message)
        if others:
            missing = f"If the lineage file lacks some, {REWRITE}."
            self.log.info("%d nodes have no task of their own. %s", len(others), missing)
        if any(one.has_failed for one in others):
            return False
        if run.run.has_succeeded or run.is_explained(self.labels):
            return True
        return any(has_lost(run, task) for task in node_tasks(self.dag, self.job_task_id))

    @property
    def job(self) -> dict[str, Any]:
        """Return the XCom of the job's task."""
        stored = self.ti.xcom_pull(task_ids=self.job_task_id, key=JOB, map_indexes=-1)
        if not stored:
            raise AirflowFailException(NO_RUN)
        found: dict[str, Any] = json.loads(stored)
        return found

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """Emit the events of the group's runs; the run of the job belongs to the job's task."""
        emit_runs(self.hook, self.account_id, self.to_emit, self.parent, self.namespace)
        return without_datasets()

    def plan_lineage(self) -> None:
        """Choose the runs to emit, since OpenLineage's listener must not read or write XComs.

        It runs in a copy of this process, which can hang in ``airflow dags test``.
        """
        if is_active():
            self.to_emit = runs_to_emit(self.client, self.ti, self.job)
            self.parent = self.job.get(PARENT)

    def progress(self) -> Progress:
        """Return the progress of all runs of the group, as the nodes' triggers use it."""
        return poll_in_worker(self.client, self.dbt_cloud_conn_id, json.dumps(self.job))

    @property
    def labels(self) -> dict[str, str]:
        """Return unique id → label of each node that has a task or belongs to one."""
        tasks = node_tasks(self.dag, self.job_task_id)
        return {key: label for task in tasks for key, label in task.nodes.items()}


class DbtCloudCheckResultsOperator(DbtCloudRestOfRunOperator):
    """Compares dbt's results with the states of the nodes' tasks.

    It is the last task of the group, and runs once all others have finished and none has failed, so
    that a task after the group does not need to check single nodes. It fails in three cases:

    - A task is green, but in the newest run its node failed or was skipped after a failure. The
      causes are a log that differs from the results, a task that a user marked, or a task that was
      cleared without those after it.
    - dbt skipped a node without a task after a failure, and no run has built it since: rebuilding
      runs build nodes with tasks only.
    - The job's run, or a rebuilding run, failed for another reason than a node with a task. This
      also applies if ``rest_of_run`` was marked as success, or not cleared with the job's task.

    It does not cancel runs, since they may build nodes for other tasks.
    """

    cancels = False

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(trigger_rule=TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS, **kwargs)

    def run_of_this_task(self, context: Context, job_id: int) -> Run:
        """Return the newest run, since a rebuilding run may still be active."""
        return self.progress().runs[-1].run

    def result(self, run_id: int) -> int:
        self.plan_lineage()
        progress = self.progress()
        states = self.ti.get_task_states(dag_id=self.ti.dag_id, run_ids=[self.ti.run_id])
        tasks = node_tasks(self.dag, self.job_task_id)
        of_run = states[self.ti.run_id]
        wrong = [one.task_id for one in tasks if self.is_wrong(one, of_run, progress)]
        if wrong:
            raise AirflowFailException(f"The states of these tasks are wrong, clear them: {wrong}")
        if skipped := self.skipped_without_task(progress):
            raise AirflowFailException(
                f"dbt skipped these nodes after a failure, no run has built them since, and they "
                f"have no task: {skipped}. Clear {self.job_task_id} with its downstream tasks."
            )
        newest = [progress.newest(selector(one.unique_id), 0) for one in tasks]
        for run in {one.run.id: one for one in (progress.job_run, *newest) if one}.values():
            if not self.is_explained(run):
                raise AirflowFailException(describe_failure(self.client, run.run.id, CLEAR_OTHERS))
        return run_id

    def skipped_without_task(self, progress: Progress) -> list[str]:
        """Return the nodes without a task that the newest run with a result of them left out."""
        newest = {
            key: run.run.has_failed and one.status == "skipped"
            for run in progress.runs
            for key, one in run.results.items()
        }
        return sorted({key for key, is_skipped in newest.items() if is_skipped} - {*self.labels})

    def is_wrong(
        self, task: DbtCloudNodeOperator, states: dict[str, str | None], progress: Progress
    ) -> bool:
        state = states.get(task.task_id)
        for unique_id, label in task.nodes.items():
            run, result = progress.newest_result(unique_id, label)
            is_own = unique_id == task.unique_id
            if run is None or result is None:
                if is_own and state == "success" and has_lost(progress.job_run, task):
                    self.log.error("%s is success, but no run has its result.", task.task_id)
                    return True
                continue
            # The parent that failed has been repaired since.
            is_held_back = state == result.status == "skipped" and run.run.has_failed
            if is_held_back or not agrees(state, result, is_own):
                about = (task.task_id, state, run.run.id, unique_id, result.status)
                self.log.error("%s is %s, and in run %s %s is %s.", *about)
                return True
        return False


def has_lost(run: RunProgress, task: DbtCloudNodeOperator) -> bool:
    """Return whether the run ended without a result of the task's node, so that the task fails."""
    return run.has_lost(task.unique_id, task.nodes[task.unique_id], task.folder)


def agrees(state: str | None, result: Result, is_own: bool) -> bool:
    """Return whether state and result agree; ``is_own`` is False for a test of the task's node."""
    if state not in ("success", "skipped"):
        return True
    if result.has_failed or not is_own:
        return not result.has_failed
    return result.is_good if state == "success" else result.status == "skipped"

"""The tasks of a task group: the job's run, its nodes, and the rest of the run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudHook
from airflow.sdk import BaseOperator

from ..airflow_compat import (
    AirflowException,
    AirflowFailException,
    AirflowSkipException,
    StartTriggerArgs,
)
from ..artifacts import command_of, read_artifact
from ..client import DbtCloudClient
from ..failures import describe_failure
from ..idempotency_key import IdempotencyKey
from ..operator import DbtCloudRunJobExactlyOnceOperator
from ..runs import Run
from .assets import extra_of
from .following import DETAILS
from .lineage import HOW
from .progress import RunProgress, progress_of
from .rebuilding import Rebuilding
from .trigger import FOLLOWED, REBUILD, DbtCloudNodeTrigger

if TYPE_CHECKING:
    from airflow.sdk import Asset, Context

JOB = "dbt_cloud_job"  # XCom: what nodes have to know of the job's runs
RUNS = "dbt_cloud_runs"  # task state: the runs that resume each other
TRIGGER = f"{DbtCloudNodeTrigger.__module__}.{DbtCloudNodeTrigger.__qualname__}"


def pulled(task_id: str, key: str) -> str:
    """What a template reads; without `map_indexes` the triggerer would wait for ever."""
    return f"ti.xcom_pull(task_ids='{task_id}', key='{key}', map_indexes=-1) or ''"


class DbtCloudStartJobOperator(DbtCloudRunJobExactlyOnceOperator):
    """Starts the job's run, or resumes it, for the nodes' tasks to follow; exactly once.

    Args:
        problem: What is wrong with the lineage file, for the log.
    """

    def __init__(self, *, problem: str = "", **kwargs: Any) -> None:
        super().__init__(wait_for_termination=False, **kwargs)
        self.problem = problem

    def execute(self, context: Context) -> int:
        if self.problem:
            self.log.warning("%s", self.problem)
        run_id = super().execute(context)
        told = {
            "account_id": self.client.account_id,
            "job_id": self.job_id,
            "runs": self.runs(context, run_id),
            "key": f"airflow-models:{IdempotencyKey.of(context).token}",
        }
        context["ti"].xcom_push(key=JOB, value=json.dumps(told))
        return run_id

    def runs(self, context: Context, run_id: int) -> list[int]:
        """The run, after the failed ones that it resumes: what succeeded in them still counts."""
        store: Any = context.get("task_state_store")
        before: list[int] = (store.get(RUNS) if store else None) or []
        run = self.client.get(f"runs/{run_id}/", include_related="trigger")
        steps = (run.get("trigger") or {}).get("steps_override")
        is_fresh = steps == self.overrides["steps_override"]
        resumes = Run.of(run).is_rerun or run.get("retrying_run_id") or not is_fresh
        runs = [*(one for one in before if one != run_id), run_id] if resumes else [run_id]
        if store:
            store.set(RUNS, runs)
        return runs


class DbtCloudNodeOperator(BaseOperator):
    """A node of the dbt project: ends as the node does in the job's run.

    It waits in the triggerer from its start, and takes a worker for a moment only to start a run
    that builds it again, or to publish its asset.

    Args:
        run_job: The task that starts the job's run; how to wait for dbt Cloud is said there.
        nodes: Unique id → what dbt's log calls it: the node itself first, then the tests that
            belong to the task too.
        asset: What is published when the node was built.
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
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.job_task_id = run_job.task_id
        self.job = f"{{{{ {pulled(self.job_task_id, JOB)} }}}}"
        # A first try need not ask Airflow what an earlier one has followed.
        self.followed = f"{{{{ {pulled(self.task_id, FOLLOWED)} if ti.try_number > 1 else '' }}}}"
        self.unique_id = next(iter(nodes))
        self.asset = asset
        self.conn_id = run_job.dbt_cloud_conn_id
        self.trigger_kwargs: dict[str, Any] = {
            "conn_id": self.conn_id,
            "nodes": nodes,
            "poll_interval": run_job.check_interval,
            "max_silence": run_job.max_silence,
            "publishes": asset is not None,
        }
        self.start_trigger_args = StartTriggerArgs(
            trigger_cls=TRIGGER,
            trigger_kwargs={**self.trigger_kwargs, "job": self.job, "followed": self.followed},
            next_method="execute_complete",
        )

    def execute(self, context: Context) -> None:
        """Only ``airflow dags test`` begins here: it knows no start in the triggerer."""
        self.wait()

    def wait(self, patience: float = 0.0) -> None:
        told: dict[str, Any] = {"job": self.job, "followed": self.followed, "patience": patience}
        trigger = DbtCloudNodeTrigger(**self.trigger_kwargs, **told)
        self.defer(trigger=trigger, method_name="execute_complete")

    def execute_complete(self, context: Context, event: Any = None) -> Any:
        if not isinstance(event, dict):  # what `dag.test()` makes of the end of a task
            if event == "success":
                return None
            ending = AirflowSkipException if event == "skipped" else AirflowException
            raise ending(f"The node's task has {event}: its log says why.")
        if event["outcome"] == REBUILD:
            self.wait(Rebuilding(self, context, json.loads(self.job)).run())
        context["ti"].xcom_push(key=FOLLOWED, value=event[FOLLOWED])
        told: dict[str, Any] = event["return_value"]
        if self.asset:
            context["outlet_events"][self.asset].extra.update(extra_of(told))
        return told

    def client(self, job: dict[str, Any]) -> DbtCloudClient:
        return DbtCloudClient(DbtCloudHook(self.conn_id), job["account_id"])

    def siblings(self) -> list[DbtCloudNodeOperator]:
        """All nodes' tasks of the group, with this one."""
        tasks = self.dag.tasks if self.dag else []
        nodes = [task for task in tasks if isinstance(task, DbtCloudNodeOperator)]
        return [task for task in nodes if task.job_task_id == self.job_task_id]


class DbtCloudRestOfRunOperator(DbtCloudRunJobExactlyOnceOperator):
    """Waits for the end of the job's run, and tells what no other task of the group does.

    It fails if something failed that has no task, or if the log of the run had said otherwise than
    its results. Marking it failed, clearing it while it waits, and its ``execution_timeout``
    cancel the run.

    Args:
        job_task_id: The task that starts the job's run.
        labels: Unique id of each node with a task → what dbt's log calls it.
    """

    def __init__(self, *, job_task_id: str, labels: dict[str, str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.job_task_id = job_task_id
        self.labels = labels

    def run_of_this_task(self, context: Context, job_id: int) -> Run:
        ti: Any = context["ti"]
        told = json.loads(ti.xcom_pull(task_ids=self.job_task_id, key=JOB))
        return Run.of(self.client.get(f"runs/{told['runs'][-1]}/"))

    def result(self, run_id: int) -> int:
        progress = self.progress(run_id)
        results = progress.results or {}
        others = [one for key, one in results.items() if key not in self.labels]
        for one in others:
            self.log.info("%s: %s. %s", one.unique_id, one.status, one.message)
        if others:
            missing = "If the lineage file lacks some: "
            self.log.info("%d nodes have no task of their own. %s%s.", len(others), missing, HOW)
        denied = progress.denied(self.labels)
        for unique_id, (said, is_so) in denied.items():
            self.log.error("%s: the log said %s, but it is %s.", unique_id, said, is_so)
        if denied:
            raise AirflowFailException(f"The log has misled these tasks, clear them: {[*denied]}")
        if any(one.has_failed for one in others) or self.is_unexplained(progress):
            raise AirflowFailException(describe_failure(self.client, run_id))
        if not progress.run.has_succeeded:
            self.log.info("%s", describe_failure(self.client, run_id))
        return run_id

    def progress(self, run_id: int) -> RunProgress:
        """The same as the nodes' triggers follow, of a run that has ended."""
        details = self.client.get(f"runs/{run_id}/", include_related=DETAILS)
        steps = [step["index"] for step in details["run_steps"] if command_of(step)]
        found = (read_artifact(self.client, run_id, "run_results.json", step) for step in steps)
        return progress_of(details, [one for one in found if one])

    def is_unexplained(self, progress: RunProgress) -> bool:
        """Whether the run failed, and no node with a task did, nor went without a result."""
        found = (progress.result(key, label) for key, label in self.labels.items())
        return not progress.run.has_succeeded and all(one and one.is_good for one in found)

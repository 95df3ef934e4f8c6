"""The tasks of a task group that start the job's run and follow its nodes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudHook
from airflow.sdk import BaseOperator, TriggerRule

from ..airflow_compat import (
    AirflowException,
    AirflowSkipException,
    StartTriggerArgs,
)
from ..client import DbtCloudClient
from ..idempotency_key import IdempotencyKey
from ..operator import DbtCloudRunJobExactlyOnceOperator
from .assets import extra_of
from .rebuilding import Rebuilding
from .resuming import runs_finished_by
from .trigger import FOLLOWED, REBUILD, DbtCloudNodeTrigger, followed_by, remember

if TYPE_CHECKING:
    from airflow.sdk import DAG, Asset, Context

JOB = "dbt_cloud_job"  # XCom: what nodes have to know of the job's runs
TRIGGER = f"{DbtCloudNodeTrigger.__module__}.{DbtCloudNodeTrigger.__qualname__}"


def pulled(task_id: str, key: str) -> str:
    """What a template reads; without `map_indexes` the triggerer would wait for ever."""
    return f"ti.xcom_pull(task_ids='{task_id}', key='{key}', map_indexes=-1) or ''"


class DbtCloudStartJobOperator(DbtCloudRunJobExactlyOnceOperator):
    """Starts the job's run, or resumes it, for the nodes' tasks to follow; exactly once."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(wait_for_termination=False, **kwargs)

    def execute(self, context: Context) -> int:
        run_id = super().execute(context)
        told = {
            "account_id": self.client.account_id,
            "job_id": self.job_id,
            "runs": runs_finished_by(self, context, run_id),
            "task_id": self.task_id,
            "key": f"airflow-models:{IdempotencyKey.of(context).token}",
        }
        context["ti"].xcom_push(key=JOB, value=json.dumps(told))
        return run_id


class DbtCloudNodeOperator(BaseOperator):
    """A node of the dbt project: ends as the node does in the job's run.

    It waits in the triggerer from its start, and takes a worker for a moment only to start a run
    that builds it again, or to publish its asset.

    Its trigger rule is ``none_failed``: a node that the run does not build is skipped, and that
    says nothing about the nodes after it, which may well be built.

    Args:
        run_job: The task that starts the job's run; how to wait for dbt Cloud is said there.
        nodes: Unique id → what dbt's log calls it: the node itself first, then the tests that
            belong to the task too.
        asset: What is published when the node was built.
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
        self.job = f"{{{{ {pulled(self.job_task_id, JOB)} }}}}"
        # A first try need not ask Airflow what an earlier one has followed.
        followed = pulled(self.job_task_id, followed_by(self.task_id))
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
        remember(context["ti"], self.job, event[FOLLOWED])
        told: dict[str, Any] = event["return_value"]
        if self.asset:
            context["outlet_events"][self.asset].extra.update(extra_of(told))
        return told

    def client(self, job: dict[str, Any]) -> DbtCloudClient:
        return DbtCloudClient(DbtCloudHook(self.conn_id), job["account_id"])

    def siblings(self) -> list[DbtCloudNodeOperator]:
        """All nodes' tasks of the group, with this one."""
        return node_tasks(self.dag, self.job_task_id)


def node_tasks(dag: DAG | None, job_task_id: str) -> list[DbtCloudNodeOperator]:
    """The nodes' tasks that follow the runs of one job's task."""
    tasks = [task for task in dag.tasks if isinstance(task, DbtCloudNodeOperator)] if dag else []
    return [task for task in tasks if task.job_task_id == job_task_id]

"""Poll the dbt Cloud runs that tasks wait for, and count the nodes they built.

A run is found by the XCom ``job_run_id``, which the provider's operator pushes after triggering the
run. This works for every operator that does the same, and with the real dbt Cloud.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudJobRunStatus
from airflow.sdk import BaseHook

from include.dbt_cloud.api.artifacts import SKIPPED, Node, nodes_of_run
from include.dbt_cloud.api.client import DbtCloudClient
from include.local_airflow.airflow.dbt_cloud_hook import ConnectedHook
from include.local_airflow.airflow.models import AirflowException, XComModel, create_session
from include.local_airflow.run.events import DbtCloudResult, DbtCloudStep, Outcome, label_of

POLL_INTERVAL = 1.0  # seconds
Instance = tuple[str, int]  # the id and map index of a task instance


class DbtCloudRuns:
    """The dbt Cloud runs of one Dag run."""

    def __init__(self) -> None:
        self._clients: dict[str, DbtCloudClient] = {}
        self._reported: dict[Instance, DbtCloudStep] = {}
        self._stopped = threading.Event()

    def add_task(self, task: Any) -> None:
        """Store the dbt Cloud connection of a task that is about to start, if it has one."""
        conn_id = getattr(task, "dbt_cloud_conn_id", None)
        if not conn_id or task.task_id in self._clients:
            return
        with suppress(AirflowException):  # the task itself reports a missing connection
            hook = ConnectedHook(BaseHook.get_connection(conn_id))
            account_id = getattr(task, "account_id", None)
            self._clients[task.task_id] = DbtCloudClient(hook, account_id, retry_seconds=0)

    def watch(self, dag_id: str, run_id: str, report: Callable[[DbtCloudStep], None]) -> None:
        """Report every new step until ``stop`` is called; run it in a separate thread."""
        while not self._stopped.wait(POLL_INTERVAL):
            self.poll(dag_id, run_id, report)

    def poll(self, dag_id: str, run_id: str, report: Callable[[DbtCloudStep], None]) -> None:
        """Report the current step of each task's run, if it is new."""
        for task, dbt_run in self._pushed(dag_id, run_id, "job_run_id").items():
            step = self._step(task, dbt_run)
            if step and self._reported.get(task) != step:
                self._reported[task] = step
                report(step)

    def stop(self) -> None:
        """Stop polling."""
        self._stopped.set()

    def results(self, dag_id: str, run_id: str) -> list[DbtCloudResult]:
        """Return the results of the runs, from the run_results.json of each step."""
        urls = self._pushed(dag_id, run_id, "job_run_url")
        dbt_runs = self._pushed(dag_id, run_id, "job_run_id")
        return [
            DbtCloudResult(
                label=label_of(*task), url=str(url), nodes=self._nodes(task[0], dbt_runs.get(task))
            )
            for task, url in urls.items()
        ]

    def _pushed(self, dag_id: str, run_id: str, key: str) -> dict[Instance, Any]:
        if not self._clients:
            return {}
        query = XComModel.get_many(
            dag_ids=dag_id, run_id=run_id, key=key, task_ids=list(self._clients)
        )
        with create_session() as session:
            rows: list[Any] = list(session.scalars(query))
            return {(row.task_id, row.map_index): XComModel.deserialize_value(row) for row in rows}

    def _step(self, task: Instance, dbt_run: int) -> DbtCloudStep | None:
        try:
            run = self._run(task[0], dbt_run)
            steps = [step["name"] for step in run["run_steps"] if step["status"] != 1]  # 1: queued
            text = run.get("status_humanized") or DbtCloudJobRunStatus(run["status"]).name.title()
        except AirflowException:
            return None
        return DbtCloudStep(
            label=label_of(*task), run_id=dbt_run, text=f"{text}: {steps[-1]}" if steps else text
        )

    def _run(self, task_id: str, dbt_run: int) -> dict[str, Any]:
        run: dict[str, Any] = self._clients[task_id].get_once(
            f"runs/{dbt_run}/", include_related="run_steps"
        )
        return run

    def _nodes(self, task_id: str, dbt_run: int | None) -> dict[str, dict[Outcome, int]]:
        """Count the run's nodes by resource type and outcome; empty if there are no results."""
        if dbt_run is None:
            return {}
        counts: dict[str, Counter[Outcome]] = {}
        try:
            nodes = nodes_of_run(self._clients[task_id], self._run(task_id, dbt_run))
            newest = {node.unique_id: node for node in nodes}
        except AirflowException:
            return {}
        for node in newest.values():
            counts.setdefault(node.kind, Counter())[outcome_of(node)] += 1
        return {kind: dict(each) for kind, each in counts.items()}


def outcome_of(node: Node) -> Outcome:
    if node.status == SKIPPED:
        return "skipped"
    return "failed" if node.has_failed else "passed"

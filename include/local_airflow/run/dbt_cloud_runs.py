"""Watch the dbt Cloud runs that tasks wait for, and count what they built.

A run is found through the XCom `job_run_id`, which the provider's operator pushes as soon as it has
triggered the run; that works for every operator that does the same, and with the real dbt Cloud.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import requests
from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudJobRunStatus
from airflow.sdk import BaseHook

from include.local_airflow.airflow.dbt_cloud_hook import ConnectedHook
from include.local_airflow.airflow.internals import AirflowException, XComModel, create_session
from include.local_airflow.run.events import DbtCloudResult, DbtCloudStep

POLL_INTERVAL = 1.0  # seconds
# Others, such as `dbt docs generate`, leave results too, of compiling only.
_BUILDING = {"build", "retry", "run", "seed", "snapshot", "test"}
_UNREADABLE = (AirflowException, requests.RequestException, ValueError, KeyError, TypeError)


class DbtCloudRuns:
    """The dbt Cloud runs of one Dag run."""

    def __init__(self) -> None:
        self._hooks: dict[str, ConnectedHook] = {}
        self._told: dict[str, DbtCloudStep] = {}
        self._ended = threading.Event()

    def add_task(self, task: Any) -> None:
        """Note the connection of a task that is about to start, if it has one to dbt Cloud."""
        conn_id = getattr(task, "dbt_cloud_conn_id", None)
        if not conn_id or task.task_id in self._hooks:
            return
        with suppress(AirflowException):  # the task itself will say that there is none
            connection = BaseHook.get_connection(conn_id)
            self._hooks[task.task_id] = ConnectedHook(connection, getattr(task, "account_id", None))

    def watch(self, dag_id: str, run_id: str, tell: Callable[[DbtCloudStep], None]) -> None:
        """Tell every new step until `end` is called; meant for a thread of its own."""
        while not self._ended.wait(POLL_INTERVAL):
            self.look(dag_id, run_id, tell)

    def look(self, dag_id: str, run_id: str, tell: Callable[[DbtCloudStep], None]) -> None:
        """Tell the step that each task's run is in, if it is a new one."""
        for task_id, dbt_run in self._pushed(dag_id, run_id, "job_run_id").items():
            step = self._step(task_id, dbt_run)
            if step and self._told.get(task_id) != step:
                self._told[task_id] = step
                tell(step)

    def end(self) -> None:
        """Stop watching."""
        self._ended.set()

    def results(self, dag_id: str, run_id: str) -> list[DbtCloudResult]:
        """Return what the runs did, from the run_results.json of each of their steps."""
        urls = self._pushed(dag_id, run_id, "job_run_url")
        dbt_runs = self._pushed(dag_id, run_id, "job_run_id")
        return [
            DbtCloudResult(
                task_id=task_id, url=str(url), nodes=self._nodes(task_id, dbt_runs.get(task_id))
            )
            for task_id, url in urls.items()
        ]

    def _pushed(self, dag_id: str, run_id: str, key: str) -> dict[str, Any]:
        if not self._hooks:
            return {}
        query = XComModel.get_many(
            dag_ids=dag_id, run_id=run_id, key=key, task_ids=list(self._hooks)
        )
        with create_session() as session:
            rows: list[Any] = list(session.scalars(query))
            return {row.task_id: XComModel.deserialize_value(row) for row in rows}

    def _step(self, task_id: str, dbt_run: int) -> DbtCloudStep | None:
        try:
            run = self._run(task_id, dbt_run)
            steps = [step["name"] for step in run["run_steps"] if step["status"] != 1]  # 1: queued
            text = run.get("status_humanized") or DbtCloudJobRunStatus(run["status"]).name.title()
        except _UNREADABLE:
            return None
        return DbtCloudStep(
            task_id=task_id, run_id=dbt_run, text=f"{text}: {steps[-1]}" if steps else text
        )

    def _run(self, task_id: str, dbt_run: int) -> dict[str, Any]:
        hook = self._hooks[task_id]
        response = hook.get_job_run(dbt_run, hook.account_id, include_related=["run_steps"])
        data: dict[str, Any] = response.json()["data"]
        return data

    def _nodes(self, task_id: str, dbt_run: int | None) -> dict[str, dict[str, int]]:
        """Count the run's nodes by resource type and last status, {} if dbt never got that far."""
        statuses: dict[str, str] = {}
        counts: dict[str, Counter[str]] = {}
        try:
            steps = self._run(task_id, dbt_run)["run_steps"] if dbt_run else []
        except _UNREADABLE:
            return {}
        for step in steps:
            for node in self._run_results(task_id, dbt_run, step["index"]):
                statuses[node["unique_id"]] = node["status"]
        for unique_id, status in statuses.items():
            counts.setdefault(unique_id.partition(".")[0], Counter())[status] += 1
        return {kind: dict(each) for kind, each in counts.items()}

    def _run_results(self, task_id: str, dbt_run: int | None, step: int) -> list[dict[str, Any]]:
        """Return the results of a step that built something; of any other none."""
        hook = self._hooks[task_id]
        try:
            response = hook.get_job_run_artifact(
                dbt_run, "run_results.json", hook.account_id, step=step
            )
            content: dict[str, Any] = response.json()
            results: list[dict[str, Any]] = content["results"]
            return results if content["args"]["which"] in _BUILDING else []
        except _UNREADABLE:
            return []

"""Callbacks that send notifications, by each channel that has a connection.

Set ``notify_failure`` as ``on_failure_callback`` in a Dag's ``default_args``: Airflow calls it
after a task's last try, so retries send no messages. As ``on_failure_callback`` of the Dag itself,
it sends one message per Dag run, about the task that failed last.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from urllib.parse import quote

from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudHook
from asgiref.sync import sync_to_async

from ..airflow.compat import conf
from ..api.client import DbtCloudClient
from ..api.loose_json import record
from .channels import Message, one_line, send
from .failed_run import FailedRun, describe, facts_of_run, failed_run, run_of_task
from .task_log import MAX_ERROR, error_in_log

# Airflow's reasons for a failed Dag run.
TASK_FAILED = "task_failure"
REASONS = {
    TASK_FAILED: "a task failed that was removed from the Dag",
    "timed_out": "it took longer than its dagrun_timeout",
    "all_tasks_deadlocked": "none of its tasks can start",
}


def notify_failure(context: Any) -> None:
    """Send the failed task, step and nodes, and the next step (``on_failure_callback``)."""
    reason = context.get("reason")  # only a whole Dag run has one
    if reason and (reason != TASK_FAILED or "ti" not in context):
        send(message_without_failed_task(context))
        return
    ti = context["ti"]
    error = context.get("exception")
    run = failed_run(ti, error)
    details = run.details if run else ""
    if not details:
        # Airflow passes no exception for a Dag run, or for a task that ended in the triggerer.
        details = error_text(error) or error_in_log(ti)
    message = Message(
        event="dag_run.failed" if reason else "task.failed",
        subject=f"Failed: {ti.dag_id}.{ti.task_id}",
        lines=list(lines_of_failure(ti, run)),
        details=details,
        facts=facts_of_task(ti) | (facts_of_run(run) if run else {}),
    )
    send(message)


def notify_success(context: Any, *lines: str) -> None:
    """Send a success (``on_success_callback``), or in a task with additional ``lines``."""
    ti = context["ti"]
    run_id, url = run_of_task(ti)
    run = [f"dbt Cloud run {run_id}: {url}"] if run_id else []
    message = Message(
        event="task.succeeded",
        subject=f"Succeeded: {ti.dag_id}.{ti.task_id}",
        lines=[f"Dag run {ti.run_id}", *run, *lines],
        facts=facts_of_task(ti) | {"dbt_cloud_run_id": run_id, "dbt_cloud_run_url": url},
    )
    send(message)


def notify_failed_run(context: Any, run_id: int, dbt_cloud_conn_id: str) -> None:
    """Send, in a task, the failure of a dbt Cloud run that Airflow did not start."""
    client = DbtCloudClient(DbtCloudHook(dbt_cloud_conn_id), None)
    run = client.get(f"runs/{run_id}/", include_related="run_steps,job,trigger")
    failed, job = describe(client, run), record(run.get("job"))
    cause = record(run.get("trigger")).get("cause")
    facts = {"job_id": run["job_definition_id"], "cause": cause}
    name = job.get("name") or f"job {facts['job_id']}"
    message = Message(
        event="dbt_cloud_run.cancelled" if run["is_cancelled"] else "dbt_cloud_run.failed",
        subject=f"{run['status_humanized']}: {name} in dbt Cloud",
        lines=[
            f"dbt Cloud run {run_id}: {failed.url}",
            f"Started by: {one_line(cause)}",
            f"Failed step: {failed.step}" if failed.step else f"Reason: {run['status_message']}",
        ],
        details=failed.details,
        facts=facts_of_task(context["ti"]) | facts_of_run(failed) | facts,
    )
    send(message)


async def notify_late(context: Any) -> None:
    """Send that a Dag run missed its deadline, as the ``AsyncCallback`` of a ``DeadlineAlert``.

    It runs in the triggerer. A ``SyncCallback`` has no access to connections in Airflow 3.3.2.
    """
    run = context["dag_run"]
    url = url_of_dag_run(run["dag_id"], run["dag_run_id"])
    deadline = datetime.fromisoformat(str(context["deadline"]["deadline_time"]))
    message = Message(
        event="dag_run.late",
        subject=f"Late: {run['dag_id']}",
        lines=[
            f"Dag run {run['dag_run_id']} missed its deadline {deadline:%Y-%m-%d %H:%M:%S %Z};"
            f" its state is {run['state']}.",
            f"See {url}",
        ],
        facts={"dag_id": run["dag_id"], "dag_run_id": run["dag_run_id"], "airflow_url": url},
    )
    await sync_to_async(send)(message)


def message_without_failed_task(context: Any) -> Message:
    """Return the message for a Dag run that failed without a failed task, such as by time-out."""
    dag_id, run_id, reason = context["dag"].dag_id, context["run_id"], context["reason"]
    unfinished = f" Not finished: {context['ti'].task_id}." if "ti" in context else ""
    url = url_of_dag_run(dag_id, run_id)
    return Message(
        event="dag_run.failed",
        subject=f"Failed: {dag_id}",
        lines=[f"Dag run {run_id}: {REASONS.get(reason, reason)}.{unfinished}", f"See {url}"],
        facts={"dag_id": dag_id, "dag_run_id": run_id, "airflow_url": url},
    )


def url_of_dag_run(dag_id: str, run_id: str) -> str:
    base_url = conf.get("api", "base_url", fallback="http://localhost:8080").rstrip("/")
    return f"{base_url}/dags/{dag_id}/runs/{quote(run_id)}"


def lines_of_failure(ti: Any, run: FailedRun | None) -> Iterator[str]:
    # For a Dag run's task, Airflow passes a wrong max_tries.
    tries = max(ti.try_number, ti.max_tries + 1, ti.task.retries + 1)
    yield f"Dag run {ti.run_id}, try {ti.try_number} of {tries}"
    if run:
        yield f"dbt Cloud run {run.id}: {run.url}".removesuffix(": ")
    if run and run.step:
        yield f"Failed step: {run.step}"
    yield f"To run it again: repair the cause, open {ti.log_url} and press Clear."
    yield "Earlier tasks do not run again."


def facts_of_task(ti: Any) -> dict[str, Any]:
    return {
        "dag_id": ti.dag_id,
        "dag_run_id": ti.run_id,
        "task_id": ti.task_id,
        "map_index": ti.map_index,
        "try_number": ti.try_number,
        "airflow_url": ti.log_url,
    }


def error_text(error: BaseException | str | None) -> str:
    if error is None:
        return ""
    text = f"{type(error).__name__}: {error}" if isinstance(error, BaseException) else str(error)
    return text[:MAX_ERROR]

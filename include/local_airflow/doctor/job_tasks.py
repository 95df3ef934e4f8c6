"""The tasks that run dbt Cloud jobs, as the Dags say it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from include.local_airflow.airflow_internals import DagBag
from include.local_airflow.doctor import Finding


@dataclass(frozen=True)
class JobTask:
    """`job_id` is None if only a run of the Dag will know it; `account_id` if it is the login."""

    dag_id: str
    task_id: str
    file: str
    conn_id: str
    job_id: int | None
    account_id: int | None

    def __str__(self) -> str:
        return f"{self.dag_id}.{self.task_id}"


def job_tasks(folder: Path) -> tuple[list[JobTask], list[Finding]]:
    """Return the tasks, and what is wrong with files that hold none since they cannot be read."""
    bag = DagBag(folder)
    broken = [
        Finding(
            f"{Path(file).name} cannot be imported: {trace.strip().splitlines()[-1]}",
            "Correct that file: its jobs are not looked at.",
        )
        for file, trace in bag.import_errors.items()
    ]
    tasks = [
        _job_task(dag_id, task, Path(dag.fileloc).name)
        for dag_id, dag in sorted(bag.dags.items())
        for task in dag.tasks
        if hasattr(task, "dbt_cloud_conn_id") and hasattr(task, "job_id")
    ]
    return tasks, broken


def _job_task(dag_id: str, task: Any, file: str) -> JobTask:
    return JobTask(
        dag_id,
        task.task_id,
        file,
        conn_id=task.dbt_cloud_conn_id,
        job_id=_number(task.job_id),
        account_id=_number(getattr(task, "account_id", None)),
    )


def _number(value: object) -> int | None:
    """A template and another task's result are no numbers yet."""
    return int(str(value)) if str(value).isdecimal() else None

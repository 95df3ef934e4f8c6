"""The jobs that Dags use: those of tasks, of assets, and of other constants in their files.

A job that is a parameter is not in a task before the Dag runs.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from include.dbt_cloud.events.run_filter import SCHEME, RunFilter, conn_id_of
from include.local_airflow.airflow.find_dag import DagBag
from include.local_airflow.doctor import Finding
from include.local_dbt_cloud.serving.connections import DBT_CLOUD

JOBS_FILE = "include/local_dbt_cloud/jobs.yaml"
CONNECTION = "DBT_CLOUD_CONN_ID"
_TEMPLATE = re.compile(r"\{[{%]")  # of Jinja


@dataclass(frozen=True)
class JobTask:
    """A job id in a task, asset or constant.

    ``job_id`` is ``None`` if it is set at run time, ``account_id`` if it is the login. For an asset
    or constant, ``task_id`` is the constant's name and ``starts`` is false. ``constant`` is where
    to set the id. ``wrong_id`` is a value that cannot be an id, such as a placeholder.
    """

    dag_id: str
    task_id: str
    file: str
    conn_id: str
    job_id: int | None
    account_id: int | None = None
    constant: str = "JOB_ID"
    starts: bool = True
    wrong_id: str = ""

    def __str__(self) -> str:
        return f"{self.dag_id}.{self.task_id}"


def example_job_ids(root: Path) -> set[int]:
    """Return the ids of the local dbt Cloud's jobs, which the Dags of this repository name."""
    file = root / JOBS_FILE
    jobs = yaml.safe_load(file.read_text())["jobs"] if file.exists() else []
    return {job["id"] for job in jobs}


def read_dags(place: Path) -> tuple[list[Any], list[Finding]]:
    """Return the Dags of a file or folder, and a finding for each file with an import error."""
    bag = DagBag(place)
    broken = [
        Finding(
            f"{Path(file).name} cannot be imported: {trace.strip().splitlines()[-1]}",
            "Correct that file; its jobs are not checked.",
        )
        for file, trace in bag.import_errors.items()
    ]
    return [*bag.dags.values()], broken


def tasks_of(dags: Iterable[Any]) -> list[JobTask]:
    """Return the tasks of the Dags, and the jobs of other constants in their files."""
    in_order = sorted(dags, key=lambda dag: str(dag.dag_id))
    tasks = [
        _job_task(dag.dag_id, task, Path(dag.fileloc))
        for dag in in_order
        for task in dag.tasks
        if hasattr(task, "dbt_cloud_conn_id") and hasattr(task, "job_id")
    ]
    tasks += [job for dag in in_order for job in _asset_jobs(dag, Path(dag.fileloc))]
    for file in sorted({Path(dag.fileloc) for dag in in_order}):
        tasks += _constant_jobs(file, [task for task in tasks if task.file == file.name])
    return sorted(tasks, key=lambda task: task.dag_id)


def conn_ids_of(dags: Iterable[Any]) -> set[str]:
    """Return the connections that the Dags' tasks and assets name, also without a job."""
    listed = list(dags)
    by_tasks = {getattr(task, "dbt_cloud_conn_id", None) for dag in listed for task in dag.tasks}
    by_assets = {conn_id_of(uri) for dag in listed for uri in _asset_uris(dag)}
    return {conn_id for conn_id in by_tasks | by_assets if isinstance(conn_id, str) and conn_id}


def _job_task(dag_id: str, task: Any, file: Path) -> JobTask:
    job_id = _number(task.job_id)
    constants = _constants(file)
    names = (name for name in constants if constants[name] in (job_id, task.job_id))
    return JobTask(
        dag_id,
        task.task_id,
        file.name,
        conn_id=task.dbt_cloud_conn_id,
        job_id=job_id,
        account_id=_number(getattr(task, "account_id", None)),
        constant=next(names, "JOB_ID"),
        wrong_id=_wrong_id(task.job_id),
    )


def _asset_uris(dag: Any) -> list[str]:
    """Return the URIs of the dbt Cloud assets that start the Dag."""
    uris = _uris_in(getattr(dag.timetable, "asset_condition", None))
    return [uri for uri in uris if uri.startswith(f"{SCHEME}://")]


def _uris_in(condition: Any) -> Iterator[str]:
    """Yield the URIs of an asset, or of all assets that ``&`` and ``|`` combine."""
    yield getattr(condition, "uri", None) or ""
    for each in getattr(condition, "objects", ()):
        yield from _uris_in(each)


def _asset_jobs(dag: Any, file: Path) -> Iterator[JobTask]:
    """Yield the jobs of the assets that start the Dag."""
    for uri in _asset_uris(dag):
        with suppress(ValueError):  # a constant with such an id is reported
            if job_id := RunFilter.of_uri(uri).job_id:
                constants = _constants(file)
                name = next((name for name in constants if constants[name] == job_id), "JOB_ID")
                conn_id = conn_id_of(uri)
                yield JobTask(
                    dag.dag_id, name, file.name, conn_id, job_id, constant=name, starts=False
                )


def _constant_jobs(file: Path, tasks: list[JobTask]) -> Iterator[JobTask]:
    """Yield the jobs that only the file's constants name."""
    constants = _constants(file)
    conn_id = str(constants.get(CONNECTION, DBT_CLOUD.conn_id))
    names = [name for name in constants if name.endswith("JOB_ID")]
    if not names and not tasks and CONNECTION in constants:
        names = [CONNECTION]  # a Dag for all jobs
    for name in names:
        job_id = _number(constants[name])
        wrong_id = "" if name == CONNECTION else _wrong_id(constants[name])
        if (job_id, wrong_id) not in [(task.job_id, task.wrong_id) for task in tasks]:
            yield JobTask(
                file.stem,
                name,
                file.name,
                conn_id,
                job_id,
                constant=name,
                starts=False,
                wrong_id=wrong_id,
            )


def _constants(file: Path) -> dict[str, object]:
    """Return the module-level constants with a literal value."""
    return {
        target.id: node.value.value
        for node in ast.parse(file.read_text()).body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def _number(value: object) -> int | None:
    """Return an id; ``None`` for a template or another task's result."""
    return int(str(value)) if str(value).isdecimal() else None


def _wrong_id(value: object) -> str:
    """Return the ``repr`` of a value that is neither a number nor a template."""
    if not isinstance(value, str | int) or _number(value) is not None:
        return ""
    return "" if _TEMPLATE.search(str(value)) else repr(value)

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from include.dbt_cloud import DbtCloudRunJobExactlyOnceOperator
from include.local_dbt_cloud.testing import LocalDbtCloud
from tests.bundled import BUILD_AFTER_LOAD, DAILY_BUILD
from tests.unit.dbt_cloud.made_jobs import MadeJobs, made_jobs

RETRIES = 2
BUILD = "dbt build --select stg_stores stg_products"
numbers = itertools.count()


class Task:
    """One task instance, tried and cleared as in Airflow."""

    def __init__(
        self,
        server: LocalDbtCloud,
        kind: Callable[..., DbtCloudRunJobExactlyOnceOperator] = DbtCloudRunJobExactlyOnceOperator,
        **arguments: Any,
    ) -> None:
        self.server = server
        self.kind = kind
        self.arguments: dict[str, Any] = {"job_id": DAILY_BUILD, "check_interval": 0.1, **arguments}
        self.pushed: dict[str, Any] = {}
        self.run_id = f"run_{next(numbers)}"
        self.map_index = -1
        self.started = datetime.now(UTC)
        self.try_number = 0
        self.retries = RETRIES
        self.max_tries = RETRIES
        self.clear_number = 0
        self.stored: dict[str, Any] = {}

    def try_(self, **arguments: Any) -> int:
        """Run one complete try in the worker; return the dbt run's id."""
        self.try_number += 1
        operator = self.operator(**arguments)
        return operator.execute(self.context(operator))

    def start(self) -> int:
        """Run one try that ends once the run is started, as in a killed worker."""
        return self.try_(wait_for_termination=False)

    def clear(self) -> None:
        self.max_tries = self.try_number + self.retries
        self.clear_number += 1

    def retry_as_a_person(self) -> int:
        """Retry the newest run as the button in dbt Cloud does; return the new run's id."""
        answer = self.server.request("POST", f"runs/{self.runs[-1]['id']}/retry/")
        assert answer.is_success, answer.text
        run_id: int = answer.json()["data"]["id"]
        return run_id

    def operator(self, **arguments: Any) -> DbtCloudRunJobExactlyOnceOperator:
        return self.kind(
            task_id="run_job",
            retries=self.retries,
            **{"deferrable": False, **self.arguments, **arguments},
        )

    def context(self, operator: DbtCloudRunJobExactlyOnceOperator) -> Any:
        ti = SimpleNamespace(
            dag_id="dag",
            run_id=self.run_id,
            task_id="run_job",
            map_index=self.map_index,
            try_number=self.try_number,
            max_tries=self.max_tries,
            task=operator,
            xcom_push=lambda key, value: self.pushed.update({key: value}),
            xcom_pull=lambda _task_ids, key, map_indexes: self.pushed.get(key),
        )
        dag_run = SimpleNamespace(
            start_date=self.started, run_after=self.started, clear_number=self.clear_number
        )
        store = SimpleNamespace(get=self.stored.get, set=self.stored.__setitem__)
        return {"ti": ti, "dag_run": dag_run, "task_state_store": store}

    @property
    def runs(self) -> list[dict[str, Any]]:
        """Return the job's dbt runs since the task was created, oldest first."""
        filters = {"job_definition_id": self.arguments["job_id"], "order_by": "-id"}
        listed = self.server.get("runs/", **filters, include_related="trigger")
        begun = self.started.strftime("%Y-%m-%d %H:%M:%S.%f")
        return [run for run in reversed(listed) if run["created_at"] >= begun]

    @property
    def own_runs(self) -> list[dict[str, Any]]:
        """Return the runs of this task only, oldest first."""
        return [run for run in self.runs if f"{self.run_id} [" in run["trigger"]["cause"]]


MakeTask = Callable[..., Task]


@pytest.fixture
def make_task(dbt_cloud_connection: LocalDbtCloud) -> Iterator[MakeTask]:
    """Create tasks, and end their runs after the test.

    Wait for active runs, since a killed dbt makes the next run six times slower.
    """
    tasks: list[Task] = []

    def make(*steps: str, **arguments: Any) -> Task:
        tasks.append(Task(dbt_cloud_connection, steps_override=list(steps), **arguments))
        return tasks[-1]

    yield make
    go_well(dbt_cloud_connection)
    active = [run for task in tasks for run in task.runs if run["in_progress"]]
    for run in active:
        if run["status_humanized"] == "Queued":
            dbt_cloud_connection.request("POST", f"runs/{run['id']}/cancel/")
    for run in active:
        dbt_cloud_connection.wait(run["id"])


@pytest.fixture
def jobs(dbt_cloud_connection: LocalDbtCloud) -> Iterator[MadeJobs]:
    """Create jobs, and delete them after the test."""
    with made_jobs(dbt_cloud_connection) as jobs:
        yield jobs


@pytest.fixture
def held_warehouse(make_task: MakeTask) -> Iterator[None]:
    """Hold the warehouse, so that a run of ``BUILD`` waits for it and stays active."""
    with open_warehouse(make_task().server):
        yield


@contextmanager
def missing_table(server: LocalDbtCloud, table: str) -> Iterator[None]:
    """Remove a source for the block, so that models that read it fail."""
    with open_warehouse(server) as warehouse:
        warehouse.execute(f"alter table raw.{table} rename to {table}_away")
    try:
        yield
    finally:
        with open_warehouse(server) as warehouse:
            warehouse.execute(f"alter table raw.{table}_away rename to {table}")


@retry(
    retry=retry_if_exception_type(duckdb.IOException),
    wait=wait_fixed(0.2),
    stop=stop_after_delay(60),
)
def open_warehouse(server: LocalDbtCloud) -> duckdb.DuckDBPyConnection:
    """Open the warehouse with all tables, once it is free."""
    load_tables(server)
    return duckdb.connect(server.data / "warehouse.duckdb")


@cache
def load_tables(server: LocalDbtCloud) -> None:
    """Load the tables by a run of another job, since a run of this one would prevent a retry."""
    server.wait(server.trigger(BUILD_AFTER_LOAD, steps_override=["dbt deps"]))


def go_well(server: LocalDbtCloud) -> None:
    """Let all calls succeed."""
    assert server.request("DELETE", "/faults").is_success


def go_wrong(server: LocalDbtCloud, kind: str, **fault: Any) -> None:
    """Inject faults as described in README.md of the local dbt Cloud."""
    answer = server.request("POST", "/faults", json={"kind": kind, **fault})
    assert answer.is_success, answer.text

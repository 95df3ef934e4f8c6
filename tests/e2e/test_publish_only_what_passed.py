"""Consumers read tested versions only: through failures, clears and a rollback."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from tests.e2e.airflow_client import Airflow
from tests.e2e.project import Project
from tests.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.group(name="airflow-b")]

DAG = "publish_only_what_passed"
FORM, BUILD, PUBLISH, ROLL_BACK = "read_form", "trigger_dbt_cloud_job_run", "publish", "roll_back"
MARTS = ["customers", "daily_revenue", "order_items", "orders", "products", "stores"]
# The schemas that the views read, and whether two marts agree on the revenue.
READ = """
    select
        (select list(distinct regexp_extract(sql, 'version_[0-9]+')) from duckdb_views()
         where schema_name = 'published'),
        (select sum(revenue) from published.orders)
            = (select sum(revenue) from published.daily_revenue)
"""
READER = """
import sys, time, duckdb

while True:
    try:
        with duckdb.connect(sys.argv[1], read_only=True) as warehouse:
            [(schemas, is_equal)] = warehouse.execute(sys.argv[2]).fetchall()
            print(*schemas, is_equal, flush=True)
    except duckdb.IOException:  # another process holds the file
        pass
    except duckdb.Error as error:
        print(repr(str(error)), flush=True)
    time.sleep(0.05)
"""


@pytest.fixture(scope="module")
def green_run(airflow: Airflow) -> str:
    return airflow.first_run(DAG)


class Reader:
    """Reads all the time in another process, as a consumer does."""

    def __init__(self, output: IO[str]) -> None:
        self.output = output

    @property
    def seen(self) -> set[str]:
        """Return all results so far: the schemas of the views, and whether the marts agree."""
        self.output.seek(0)
        return set(self.output.read().splitlines())


@pytest.fixture
def reader(project: Project, green_run: str, tmp_path: Path) -> Iterator[Reader]:
    command = [sys.executable, "-c", READER, str(project.warehouse_file), READ]
    with (
        (tmp_path / "seen").open("w+") as output,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=output) as process,
    ):
        reader = Reader(output)
        eventually(lambda: reader.seen, "the reader has read once")
        yield reader
        process.terminate()


def published(project: Project) -> str:
    """Return the schema that all views read."""
    [(schemas, _)] = project.query(READ)
    [schema] = schemas
    return str(schema)


def schema_of_dbt_run(airflow: Airflow, project: Project, run_id: str) -> str:
    run = airflow.xcom(DAG, run_id, BUILD, "job_run_id")
    [found] = project.dbt_runs(pk=run, include_related="trigger")
    return str(found["trigger"]["schema_override"])


def next_schema(schema: str, steps: int = 1) -> str:
    return f"version_{int(schema.removeprefix('version_')) + steps}"


def test_dag_publishes_what_dbt_built_and_tested(
    airflow: Airflow, project: Project, green_run: str
) -> None:
    assert airflow.states(DAG, green_run) == {
        FORM: "success",
        BUILD: "success",
        PUBLISH: "success",
        ROLL_BACK: "skipped",
    }
    result = airflow.xcom(DAG, green_run, PUBLISH)
    assert result["published"] == schema_of_dbt_run(airflow, project, green_run)
    assert result["views"] == MARTS
    raw = "select count(distinct order_id) from raw.orders"
    assert project.query("select count(*) from published.orders") == project.query(raw)


def test_failed_dbt_test_leaves_the_published_version(
    airflow: Airflow, project: Project, reader: Reader, sound_warehouse: None
) -> None:
    before = published(project)
    with project.warehouse() as connection:
        connection.execute("update raw.orders set total_cents = total_cents + 1000000")

    run_id, states = airflow.run(DAG)

    assert (states[BUILD], states[PUBLISH]) == ("failed", "upstream_failed")
    assert "order_total_is_subtotal_plus_tax" in airflow.log(DAG, run_id, BUILD)
    assert schema_of_dbt_run(airflow, project, run_id) == next_schema(before)
    assert project.query(f"select max(order_total) > 9999 from {next_schema(before)}.orders") == [
        (True,)
    ]

    # A person marks the task as success.
    path = f"/dags/{DAG}/dagRuns/{run_id}/taskInstances/{BUILD}"
    airflow.call("PATCH", path, new_state="success")
    airflow.clear(DAG, run_id, PUBLISH)
    assert airflow.wait(DAG, run_id) == "failed"
    assert "has not succeeded: nothing was published" in airflow.log(DAG, run_id, PUBLISH)
    assert airflow.tasks(DAG, run_id)[PUBLISH]["try_number"] == 1

    assert published(project) == before
    assert reader.seen == {f"{before} True"}

    with project.warehouse() as connection:
        connection.execute("update raw.orders set total_cents = total_cents - 1000000")
    airflow.run(DAG)
    assert published(project) == next_schema(before, 2)
    eventually(lambda: len(reader.seen) > 1, "the reader reads again")
    assert reader.seen == {f"{before} True", f"{next_schema(before, 2)} True"}


def test_cleared_build_publishes_a_new_version_and_leaves_the_published_one(
    airflow: Airflow, project: Project, reader: Reader
) -> None:
    run_id, _ = airflow.run(DAG)
    before = published(project)

    airflow.clear(DAG, run_id, PUBLISH)
    assert airflow.wait(DAG, run_id) == "success"
    assert published(project) == before

    airflow.clear(DAG, run_id, BUILD)
    assert airflow.wait(DAG, run_id) == "success"

    assert schema_of_dbt_run(airflow, project, run_id) == published(project) == next_schema(before)
    assert airflow.xcom(DAG, run_id, PUBLISH)["replaced"] == before
    assert all(line.endswith(" True") for line in reader.seen)


def test_form_rolls_back_once(airflow: Airflow, project: Project, reader: Reader) -> None:
    airflow.run(DAG)
    before = published(project)
    dbt_runs = len(project.dbt_runs())

    run_id, states = airflow.run(DAG, roll_back=True)

    assert states == {FORM: "success", BUILD: "skipped", PUBLISH: "skipped", ROLL_BACK: "success"}
    assert airflow.xcom(DAG, run_id, ROLL_BACK)["replaced"] == before
    assert published(project) == airflow.xcom(DAG, run_id, ROLL_BACK)["published"] != before
    assert len(project.dbt_runs()) == dbt_runs
    assert all(line.endswith(" True") for line in reader.seen)

    run_id, states = airflow.run(DAG, roll_back=True)
    assert states[ROLL_BACK] == "failed"
    assert "There is no previous version" in airflow.log(DAG, run_id, ROLL_BACK)
    assert airflow.tasks(DAG, run_id)[ROLL_BACK]["try_number"] == 1


def test_build_is_rejected_in_a_schema_of_others(
    airflow: Airflow, project: Project, green_run: str, sound_warehouse: None
) -> None:
    before, dbt_runs = published(project), len(project.dbt_runs())
    [(newest,)] = project.query("select max(number) from publishing.versions")
    with project.warehouse() as connection:
        connection.execute(f"create schema version_{newest + 1}")

    run_id, states = airflow.run(DAG)

    assert (states[BUILD], states[PUBLISH]) == ("failed", "upstream_failed")
    assert f"The schema version_{newest + 1} exists" in airflow.log(DAG, run_id, BUILD)
    assert len(project.dbt_runs()) == dbt_runs
    assert published(project) == before


def test_misspelled_field_starts_nothing(
    airflow: Airflow, project: Project, green_run: str
) -> None:
    before, dbt_runs = published(project), len(project.dbt_runs())

    run_id, states = airflow.run(DAG, rollback=True)

    assert states[FORM] == "failed"
    assert "The form has no field rollback" in airflow.log(DAG, run_id, FORM)
    assert (published(project), len(project.dbt_runs())) == (before, dbt_runs)

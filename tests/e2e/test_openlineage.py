"""Lineage of dbt Cloud runs, as a real Airflow emits it: Airflow task, run, nodes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("airflow.providers.openlineage", reason="needs requirements-dev.txt")

from include.local_dbt_cloud.testing import free_port
from tests.e2e.airflow_client import Airflow
from tests.e2e.emitted import Emitted, Event, below, job_runs, kind, parent, repeated
from tests.e2e.project import Project
from tests.e2e.test_job_dags import missing_table
from tests.e2e.variants import SHOWN, write_variant
from tests.e2e.watching import run_outside
from tests.openlineage_spec import problems

pytestmark = [pytest.mark.slow, pytest.mark.group(name="openlineage")]

ONCE, PIPELINE, HISTORY = (
    "run_dbt_cloud_job_exactly_once",
    "extract_load_transform",
    "keep_dbt_cloud_history",
)
IN_WORKER = "run_in_worker"
TASK = "trigger_dbt_cloud_job_run"
STEP = "dbt build --select stg_stores stg_products"
MARKETING = 48630
NAMESPACE = "duckdb://include/.local/warehouse.duckdb"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project.copy_to(tmp_path_factory.mktemp("openlineage"))
    in_worker = f"job_id=JOB_ID, deferrable=False, steps_override=[{STEP!r}],"
    write_variant(project, ONCE, IN_WORKER, {"job_id=JOB_ID,": in_worker})
    return project


@pytest.fixture(scope="module")
def emitted(project: Project) -> Emitted:
    return Emitted.by(project)


@pytest.fixture(scope="module")
def airflow(project: Project, emitted: Emitted) -> Iterator[Airflow]:
    with project.started(**emitted.settings):
        yield Airflow(project.port)


@pytest.fixture(scope="module")
def loaded(airflow: Airflow, project: Project) -> int:
    """Load the tables, by a run of a job that no task runs; return its id."""
    return run_of_others(project, steps_override=["dbt deps"])


def run_of_others(project: Project, **overrides: Any) -> int:
    """Return a finished run that Airflow did not start."""
    return int(run_outside(project, MARKETING, cause="Scheduled", **overrides)["id"])


def run(airflow: Airflow, emitted: Emitted, dag: str, state: str = "success") -> list[Event]:
    """Run a Dag and return its events, which are valid."""
    run_id = airflow.trigger(dag)
    assert airflow.wait(dag, run_id) == state
    return checked(emitted.of_dag_run(dag, run_id))


def checked(events: list[Event]) -> list[Event]:
    assert [found for event in events for found in problems(event)] == []
    assert repeated(events) == []
    return events


def the_run(events: list[Event]) -> Event:
    (only,) = job_runs(events)
    return only


@pytest.mark.parametrize("dag", [ONCE, IN_WORKER, PIPELINE])
def test_task_has_its_dbt_cloud_run_and_nodes_below_it(
    airflow: Airflow, emitted: Emitted, loaded: int, dag: str
) -> None:
    events = run(airflow, emitted, dag)

    dbt_run = the_run(events)
    assert dbt_run["eventType"] == "COMPLETE"
    (task,) = {one["run"]["runId"] for one in events if one["job"]["name"] == f"{dag}.{TASK}"}
    (dag_run,) = {one["run"]["runId"] for one in events if one["job"]["name"] == dag}
    assert parent(dbt_run) == task
    nodes = below(events, dbt_run)
    models = {name for name in nodes if name.endswith(".build.run")}
    tests = {name for name in nodes if "test" in name}
    assert set(nodes.values()) == {"COMPLETE"}
    assert (len(models), len(tests)) == ((2, 0) if dag == IN_WORKER else (12, 11))
    of_dbt = [one for one in events if kind(one)[0] == "DBT"]
    assert len(of_dbt) == 2 * (1 + len(nodes))
    assert {one["run"]["facets"]["parent"]["root"]["run"]["runId"] for one in of_dbt} == {dag_run}


def test_failed_run_and_the_runs_that_resume_it_are_emitted_once_each(
    airflow: Airflow, project: Project, emitted: Emitted, loaded: int
) -> None:
    with missing_table(project, "stores"):
        dag_run = airflow.trigger(IN_WORKER)
        assert airflow.wait(IN_WORKER, dag_run) == "failed"
    airflow.clear(IN_WORKER, dag_run, TASK)
    assert airflow.wait(IN_WORKER, dag_run) == "success"

    events = emitted.of_dag_run(IN_WORKER, dag_run, times=2)
    runs = job_runs(events)

    checked(events)
    assert [one["eventType"] for one in runs] == ["FAIL", "FAIL", "COMPLETE"]
    failed = {"stg_stores.build.run": "FAIL"}
    assert below(events, runs[0]) == {"stg_products.build.run": "COMPLETE", **failed}
    assert below(events, runs[1]) == failed
    assert below(events, runs[2]) == {"stg_stores.build.run": "COMPLETE"}
    tries = {parent(one) for one in runs}
    assert len(tries) == 3  # each try of the task has an id in OpenLineage


def test_run_of_a_task_group_belongs_to_its_first_task(
    airflow: Airflow, project: Project, emitted: Emitted, loaded: int
) -> None:
    events = run(airflow, emitted, SHOWN)

    dbt_run = the_run(events)
    (task,) = {
        one["run"]["runId"]
        for one in events
        if one["job"]["name"] == f"{SHOWN}.jaffle_shop.run_job"
    }
    assert parent(dbt_run) == task
    assert len(below(events, dbt_run)) == 23


def test_run_that_rebuilds_a_model_is_emitted_once(
    airflow: Airflow, emitted: Emitted, loaded: int
) -> None:
    dag_run = airflow.trigger(SHOWN)
    assert airflow.wait(SHOWN, dag_run) == "success"
    airflow.clear(SHOWN, dag_run, "jaffle_shop.marts.stores")
    assert airflow.wait(SHOWN, dag_run) == "success"

    events = emitted.of_dag_run(SHOWN, dag_run, times=2)
    found = [one for one in events if kind(one)[0] == "DBT"]

    assert checked(found)
    first, rebuild = job_runs(found)
    assert parent(first) == parent(rebuild)
    assert below(found, rebuild) == {"stores.build.run": "COMPLETE"}


def test_runs_of_others_are_emitted_and_those_of_tasks_not_again(
    airflow: Airflow, project: Project, emitted: Emitted, loaded: int
) -> None:
    airflow.call("PATCH", f"/dags/{HISTORY}", is_paused=True)
    own = int(airflow.xcom(ONCE, airflow.first_run(ONCE), TASK))
    other = run_of_others(project)
    before = len(emitted.all())

    for run_id in (own, other):
        _, states = airflow.run(HISTORY, run_id=run_id)
        assert set(states.values()) == {"success"}

    found = [one for one in emitted.all()[before:] if kind(one)[0] == "DBT"]
    dbt_run = the_run(checked(found))
    assert dbt_run["job"]["name"] == f"dbt-cloud-job-{MARKETING}"
    assert parent(dbt_run) is None
    assert "customers.build.run" in below(found, dbt_run)


def test_datasets_have_the_names_of_the_assets(
    airflow: Airflow, emitted: Emitted, loaded: int
) -> None:
    """The Dags' namespace is the one that OpenLineage finds in the project's connection."""
    events = run(airflow, emitted, "publish_models_as_assets")
    pipeline = emitted.of_dag_run(PIPELINE, airflow.first_run(PIPELINE))
    outputs = [one for event in [*events, *pipeline] for one in event["outputs"]]
    assets = airflow.call("GET", "/assets?limit=100&uri_pattern=duckdb")["assets"]

    names = {f"{one['namespace']}/{one['name'].replace('.', '/')}" for one in outputs}
    assert len(names) == 12
    assert {one["uri"] for one in assets} == names
    assert {one["namespace"] for one in outputs} == {NAMESPACE}


def test_server_that_is_down_fails_no_task(project: Project, airflow: Airflow) -> None:
    """The last test here, since it starts Airflow again."""
    project.launcher("stop")
    url = f"http://127.0.0.1:{free_port()}"
    transport: dict[str, Any] = {"type": "http", "url": url, "retry": {"total": 0}}
    with project.started(AIRFLOW__OPENLINEAGE__TRANSPORT=json.dumps(transport)):
        airflow = Airflow(project.port)
        dag_run, states = airflow.run(IN_WORKER)

        assert states == {TASK: "success"}
        log = airflow.log(IN_WORKER, dag_run, TASK)
        assert log.count("Could not emit the OpenLineage events of dbt Cloud run") == 1
        assert f"the OpenLineage server 127.0.0.1:{url.rpartition(':')[2]} does not respond" in log

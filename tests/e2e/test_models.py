"""A dbt Cloud job as a task group, on a real scheduler, triggerer and local dbt Cloud."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from tests.e2e.airflow_client import Airflow
from tests.e2e.project import Project
from tests.e2e.receiver import messages
from tests.e2e.test_job_dags import missing_table
from tests.e2e.variants import (
    AFTER,
    PUBLISHED,
    PUBLISHED_ONCE,
    SHOWN,
    SHOWN_ONCE,
    SHOWN_STALE,
)
from tests.waiting import eventually
from tests.webhook_receiver import WebhookReceiver

pytestmark = [pytest.mark.slow, pytest.mark.group(name="airflow-b")]

GROUP = "jaffle_shop"
JOB, REST, CHECK = (f"{GROUP}.{name}" for name in ("run_job", "rest_of_run", "check_results"))
MARTS = ("customers", "daily_revenue", "order_items", "orders", "products", "stores")
STAGING = ("customers", "order_items", "orders", "payments", "products", "stores")
MODELS = {f"{GROUP}.marts.{name}" for name in MARTS}
MODELS |= {f"{GROUP}.staging.stg_{name}" for name in STAGING}
NAMESPACE = "duckdb://include/.local/warehouse.duckdb/warehouse/analytics"
REFRESH = "refresh_when_customers_change"
ACTIVE = {"status__in": "[1,2,3]"}


def task(name: str) -> str:
    return f"{GROUP}.{'staging' if name.startswith('stg_') else 'marts'}.{name}"


def green(*but: str) -> dict[str, str]:
    """All tasks succeed, but for those of some models."""
    return dict.fromkeys({JOB, REST, CHECK, *MODELS} - {task(name) for name in but}, "success")


def newest(project: Project) -> int:
    return max((int(run["id"]) for run in project.dbt_runs(limit=1)), default=0)


def runs_after(project: Project, run: int) -> list[dict[str, Any]]:
    """Oldest first."""
    return project.dbt_runs(id__gt=run, include_related="trigger")[::-1]


def built_in(project: Project, run: dict[str, Any]) -> dict[str, str]:
    """Model → status."""
    path = f"/runs/{run['id']}/artifacts/run_results.json"
    results = project.dbt_cloud.get(path).raise_for_status().json()["results"]
    ids = ((one["unique_id"].split("."), one["status"]) for one in results)
    return {parts[2]: status for parts, status in ids if parts[0] == "model"}


def clear(airflow: Airflow, dag: str, dag_run: str, *names: str) -> None:
    """Several tasks at once, with what follows them."""
    airflow.call(
        "POST",
        f"/dags/{dag}/clearTaskInstances",
        dry_run=False,
        dag_run_id=dag_run,
        task_ids=list(names),
        include_downstream=True,
        only_failed=False,
        reset_dag_runs=True,
    )


def failure_of(receiver: WebhookReceiver, dag_run: str, task_id: str) -> dict[str, Any]:
    """Return the Dag processor's message about a task that its trigger has ended."""

    def failures() -> list[dict[str, Any]]:
        found = messages(receiver, dag_run, "task.failed")
        return [one for one in found if one["task_id"] == task_id]

    (only,) = eventually(failures, f"the failure of {task_id} is sent")
    return only


def test_task_group_has_a_task_per_model_and_starts_one_dbt_run(
    airflow: Airflow, project: Project
) -> None:
    before = newest(project)

    dag_run, states = airflow.run(SHOWN)

    assert states == green()
    (run,) = runs_after(project, before)
    result = airflow.xcom(SHOWN, dag_run, task("customers"))
    assert result["status"] == "success"
    assert result["run_id"] == run["id"]
    assert result["run_url"] == run["href"]
    assert {one["status"] for one in result["tests"]} == {"pass"}
    log = airflow.log(SHOWN, dag_run, task("customers"))
    assert f"Following dbt Cloud run {run['id']}" in log
    assert "model.jaffle_shop.customers: success in" in log
    assert "Pre Execute" not in log  # no worker had a part in it


def test_failed_models_leave_others_successful_and_are_rebuilt_by_one_run(
    airflow: Airflow, project: Project, receiver: WebhookReceiver
) -> None:
    before = newest(project)
    with missing_table(project, "stores"), missing_table(project, "products"):
        dag_run, states = airflow.run(SHOWN_ONCE)

    after = ("stores", "order_items", "products")
    assert states == {
        **green("stg_stores", "stg_products", *after),
        **dict.fromkeys((task("stg_stores"), task("stg_products")), "failed"),
        **dict.fromkeys([CHECK, *map(task, after)], "upstream_failed"),
    }
    assert airflow.wait(SHOWN_ONCE, dag_run) == "failed"
    result = airflow.xcom(SHOWN_ONCE, dag_run, task("stg_stores"))
    assert result["status"] == "error"
    log = airflow.log(SHOWN_ONCE, dag_run, task("stg_stores"))
    assert "Table with name stores does not exist" in log
    message = failure_of(receiver, dag_run, task("stg_stores"))
    assert message["dbt_cloud_run_url"] == result["run_url"]
    assert [node["unique_id"] for node in message["failed_nodes"]] == [result["unique_id"]]
    assert "Table with name stores does not exist" in message["text"]

    clear(airflow, SHOWN_ONCE, dag_run, task("stg_stores"), task("stg_products"))

    assert airflow.wait(SHOWN_ONCE, dag_run) == "success"
    assert airflow.states(SHOWN_ONCE, dag_run) == green()
    failed, again = runs_after(project, before)
    names = {"stg_stores", "stg_products", *after}
    assert built_in(project, again) == dict.fromkeys(names, "success")
    selectors = [f"'package:jaffle_shop,fqn:*.{name}'" for name in sorted(names)]
    assert again["trigger"]["steps_override"] == [f"dbt build --select {' '.join(selectors)}"]
    assert airflow.xcom(SHOWN_ONCE, dag_run, task("stores"))["run_id"] == again["id"]
    assert airflow.xcom(SHOWN_ONCE, dag_run, task("orders"))["run_id"] == failed["id"]


def test_automatic_retry_of_a_model_task_rebuilds_the_model(
    airflow: Airflow, project: Project
) -> None:
    before = newest(project)
    with missing_table(project, "stores"):
        dag_run = airflow.trigger(SHOWN)
        airflow.wait_for_task(SHOWN, dag_run, task("stg_stores"), "up_for_retry")
    airflow.wait(SHOWN, dag_run)

    _, *again = runs_after(project, before)
    assert built_in(project, again[-1]) == {"stg_stores": "success", "stores": "success"}
    assert airflow.states(SHOWN, dag_run) == green()


def test_clearing_a_successful_model_rebuilds_it_and_its_downstream_tasks(
    airflow: Airflow, project: Project
) -> None:
    dag_run, _ = airflow.run(SHOWN)
    before = newest(project)

    clear(airflow, SHOWN, dag_run, task("order_items"))

    assert airflow.wait(SHOWN, dag_run) == "success"
    (run,) = runs_after(project, before)
    assert built_in(project, run) == {"order_items": "success", "products": "success"}


def test_clearing_the_job_resumes_it_where_it_failed(airflow: Airflow, project: Project) -> None:
    before = newest(project)
    with missing_table(project, "stores"):
        dag_run, _states = airflow.run(SHOWN_ONCE)

    clear(airflow, SHOWN_ONCE, dag_run, JOB)

    assert airflow.wait(SHOWN_ONCE, dag_run) == "success"
    assert airflow.states(SHOWN_ONCE, dag_run) == green()
    failed, resumed = runs_after(project, before)
    assert resumed["retrying_run_id"] == failed["id"]
    assert built_in(project, resumed) == {"stg_stores": "success", "stores": "success"}


def test_failed_dbt_test_fails_its_model_task_and_blocks_downstream_tasks(
    airflow: Airflow, project: Project, sound_warehouse: None
) -> None:
    with project.warehouse() as warehouse:
        warehouse.execute("update raw.orders set tax_cents = tax_cents + 1")

    dag_run, states = airflow.run(SHOWN_ONCE)

    after = ("customers", "daily_revenue", "order_items", "stores", "products")
    assert states == {
        **green("orders", *after),
        task("orders"): "failed",
        **dict.fromkeys([CHECK, *map(task, after)], "upstream_failed"),
    }
    result = airflow.xcom(SHOWN_ONCE, dag_run, task("orders"))
    assert result["status"] == "success"  # the model was built
    (test,) = (one for one in result["tests"] if one["status"] == "fail")
    assert "order_total_is_subtotal_plus_tax" in test["unique_id"]
    assert test["rows"] > 0


def test_cancelled_run_fails_the_tasks_of_unbuilt_models(
    airflow: Airflow, project: Project
) -> None:
    with project.warehouse():  # dbt waits for it
        dag_run = airflow.trigger(SHOWN_ONCE)
        airflow.wait_for_task(SHOWN_ONCE, dag_run, task("stg_orders"), "deferred")
        (run,) = eventually(lambda: project.dbt_runs(status=3), "dbt Cloud runs the job")
        project.dbt_cloud.post(f"/runs/{run['id']}/cancel/").raise_for_status()

    assert airflow.wait(SHOWN_ONCE, dag_run) == "failed"
    states = airflow.states(SHOWN_ONCE, dag_run)
    assert {states[task(f"stg_{name}")] for name in STAGING} == {"failed"}
    assert f"run {run['id']} was cancelled" in airflow.log(SHOWN_ONCE, dag_run, REST)
    assert "Cancelled by user" in airflow.log(SHOWN_ONCE, dag_run, task("stg_orders"))


def test_concurrent_dag_runs_follow_their_own_dbt_runs(airflow: Airflow, project: Project) -> None:
    dag_runs = [airflow.trigger(SHOWN_ONCE) for _ in range(2)]

    for dag_run in dag_runs:
        assert airflow.wait(SHOWN_ONCE, dag_run) == "success"

    results = [airflow.xcom(SHOWN_ONCE, dag_run, task("products")) for dag_run in dag_runs]
    own = [airflow.xcom(SHOWN_ONCE, dag_run, JOB) for dag_run in dag_runs]
    assert [one["run_id"] for one in results] == own
    assert len(set(own)) == 2


def test_marking_a_model_task_failed_does_not_change_the_dbt_run(
    airflow: Airflow, project: Project
) -> None:
    with project.warehouse():
        dag_run = airflow.trigger(SHOWN_ONCE)
        airflow.wait_for_task(SHOWN_ONCE, dag_run, task("stg_orders"), "deferred")
        (run,) = eventually(lambda: project.dbt_runs(status=3), "dbt Cloud runs the job")
        path = f"/dags/{SHOWN_ONCE}/dagRuns/{dag_run}/taskInstances/{task('stg_orders')}"
        airflow.call("PATCH", path, new_state="failed")
        airflow.wait_for_task(SHOWN_ONCE, dag_run, task("orders"), "upstream_failed")
        assert [one["id"] for one in project.dbt_runs(**ACTIVE)] == [run["id"]]

    assert airflow.wait(SHOWN_ONCE, dag_run) == "failed"
    assert project.dbt_runs(pk=run["id"])[0]["status_humanized"] == "Success"


def test_stale_lineage_file_logs_missing_models_and_skips_removed_ones(
    airflow: Airflow, project: Project
) -> None:
    dag_run, states = airflow.run(SHOWN_STALE)

    gone = f"{GROUP}.gone"
    assert states == {**green("products", "daily_revenue"), gone: "skipped", AFTER: "success"}
    log = airflow.log(SHOWN_STALE, dag_run, REST)
    assert "model.jaffle_shop.products: success" in log
    assert "run the Dag write_lineage to rewrite it" in log
    assert "does not build this node" in airflow.log(SHOWN_STALE, dag_run, gone)


def test_write_lineage_writes_the_current_project(airflow: Airflow, project: Project) -> None:
    file = project.root / "include" / "lineage" / "daily_build.json"
    good = file.read_text()
    # Without the tags, the Dags that use the file keep their tasks.
    file.write_text(good.replace('"tags": ["daily"], ', ""))
    assert file.read_text() != good

    _dag_run, states = airflow.run("write_lineage")

    assert states == {"parse_project": "success", "write_file": "success"}
    assert file.read_text() == good


def published(airflow: Airflow, dag: str, dag_run: str) -> dict[str, dict[str, Any]]:
    """Asset's URI → extra of the one event of a Dag run."""
    path = f"/assets/events?source_dag_id={dag}&source_run_id={quote(dag_run)}&limit=100"
    events = airflow.call("GET", path)["asset_events"]
    assert len({event["uri"] for event in events}) == len(events)
    return {event["uri"]: event["extra"] for event in events}


def test_built_models_publish_one_event_each_and_start_waiting_dags(
    airflow: Airflow, project: Project
) -> None:
    airflow.call("PATCH", f"/dags/{REFRESH}", is_paused=False)
    # It publishes too, what runs of other tests have built.
    airflow.call("PATCH", "/dags/keep_dbt_cloud_history", is_paused=True)
    before = set(airflow.dag_runs(REFRESH))

    dag_run, states = airflow.run(PUBLISHED)

    assert states == green()
    events = published(airflow, PUBLISHED, dag_run)
    names = {*MARTS, *(f"stg_{name}" for name in STAGING)}
    assert set(events) == {f"{NAMESPACE}/{name}" for name in names}
    run_id = airflow.xcom(PUBLISHED, dag_run, JOB)
    about = events[f"{NAMESPACE}/customers"]
    assert (about["status"], about["run_id"], about["failing_tests"]) == ("success", run_id, [])
    (refreshed,) = eventually(
        lambda: set(airflow.dag_runs(REFRESH)) - before, "the asset starts the Dag that waits"
    )
    assert airflow.wait(REFRESH, refreshed) == "success"
    result = airflow.xcom(REFRESH, refreshed, "refresh_best_customers")
    assert result["customers"] == 100
    # Besides the earlier runs of keep_dbt_cloud_history.
    assert result["dbt_cloud_runs"].count(run_id) == 1
    assert project.query("select count(*) from marketing.best_customers") == [(100,)]


def test_failed_dbt_test_withholds_the_event_of_its_model(
    airflow: Airflow, project: Project, sound_warehouse: None
) -> None:
    with project.warehouse() as warehouse:
        warehouse.execute("update raw.orders set tax_cents = tax_cents + 1")

    dag_run, states = airflow.run(PUBLISHED_ONCE)

    assert states[task("orders")] == "failed"
    events = published(airflow, PUBLISHED_ONCE, dag_run)
    assert set(events) == {f"{NAMESPACE}/stg_{name}" for name in STAGING}

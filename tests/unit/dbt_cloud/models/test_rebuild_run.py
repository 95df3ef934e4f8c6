from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pendulum
import pytest
from airflow.sdk import DAG

from include.dbt_cloud.airflow.compat import AirflowException
from include.dbt_cloud.models import dbt_cloud_models
from include.dbt_cloud.models.following import selected
from include.dbt_cloud.models.operators import RECHECK_SECONDS, Rebuilding
from include.dbt_cloud.models.trigger import FOLLOWED
from include.dbt_cloud.run.recovery import selector
from include.local_dbt_cloud.testing import LocalDbtCloud
from tests.unit.dbt_cloud.conftest import MakeTask, go_wrong
from tests.unit.dbt_cloud.models.scripted_airflow import MakeAirflow, ScriptedAirflow
from tests.unit.dbt_cloud.models.scripted_dbt_cloud import (
    NODES,
    A,
    B,
    C,
    ScriptedDbtCloud,
    build_only,
    good_status,
    in_turn,
)


class Group:
    """A task group of four models, ``c`` and ``d`` after ``a`` and ``b``, in one Dag run."""

    def __init__(self, server: LocalDbtCloud, run_id: int, folder: Path) -> None:
        self.server = server
        self.job: dict[str, Any] = {"account_id": server.account_id, "job_id": 65767}
        self.job |= {"runs": [run_id], "key": f"airflow-models:{run_id}"}
        self.states: dict[str, str | None] = {f"g.{name}": "success" for name in "abcd"}
        self.stores: dict[str, dict[str, Any]] = {}
        nodes = [self.entry("a"), self.entry("b"), self.entry("c", "a"), self.entry("d", "b")]
        file = folder / "lineage.json"
        file.write_text(json.dumps({"version": 1, "nodes": nodes}))
        with DAG("shop", schedule=None, start_date=pendulum.datetime(2026, 4, 1)) as self.dag:
            dbt_cloud_models("g", job_id=65767, lineage=file, lost_answer_seconds=1)

    @staticmethod
    def entry(name: str, *parents: str) -> dict[str, Any]:
        ids = [f"model.shop.{parent}" for parent in parents]
        return {"unique_id": f"model.shop.{name}", "name": name, "type": "model", "parents": ids}

    def rebuild(self, name: str, after: int = 0) -> float:
        """Rebuild a node in a worker."""
        task: Any = self.dag.get_task(f"g.{name}")
        store = self.stores.setdefault(name, {})
        ti = SimpleNamespace(
            dag_id="shop",
            run_id="now",
            task_id=task.task_id,
            map_index=-1,
            try_number=2,
            max_tries=1,
            task=task,
            get_task_states=lambda dag_id, run_ids: {"now": self.states},
        )
        kept = SimpleNamespace(get=store.get, set=store.__setitem__)
        dag_run = SimpleNamespace(clear_number=1)
        context: Any = {"ti": ti, "dag_run": dag_run, "task_state_store": kept}
        return Rebuilding(task, context, self.job, after).run()

    @property
    def rebuilt(self) -> list[list[str]]:
        """Return the commands of the started runs, oldest first."""
        listed = self.server.get(
            "runs/", id__gt=self.job["runs"][0], order_by="id", include_related="trigger"
        )
        ours = (run["trigger"] for run in listed if self.job["key"] in run["trigger"]["cause"])
        return [trigger["steps_override"] for trigger in ours]

    def cancel(self) -> None:
        for run in self.server.get("runs/", id__gt=self.job["runs"][0], status__in="[1,2,3]"):
            self.server.request("POST", f"runs/{run['id']}/cancel/")


def command(verb: str, *names: str) -> str:
    return shlex.join(
        ["dbt", verb, "--select", *(selector(f"model.shop.{name}") for name in names)]
    )


@pytest.fixture
def group(make_task: MakeTask, tmp_path: Path) -> Iterator[Group]:
    # It fails before any build, so that it may have planned to build all nodes.
    steps = ("dbt run-operation missing", "dbt build --select tag:shop", "dbt parse", "dbt test")
    task = make_task(*steps)
    group = Group(task.server, task.start(), tmp_path)
    yield group
    group.cancel()


def test_rebuild_starts_one_run_for_all_waiting_tasks(group: Group) -> None:
    group.states |= {"g.a": "deferred", "g.b": "up_for_retry", "g.c": None, "g.d": "success"}

    assert group.rebuild("b") == RECHECK_SECONDS
    assert group.rebuilt == []
    assert group.rebuild("a") == 0.0
    assert group.rebuild("b") == 0.0  # it is in the run of `a`

    assert group.rebuilt == [[command("build", "a", "b", "c"), command("test", "a", "b", "c")]]


def test_rebuild_starts_another_run_after_the_one_already_followed(group: Group) -> None:
    group.states |= {"g.a": "deferred"}
    group.rebuild("a")
    (first,) = group.server.get("runs/", order_by="-id", limit=1)

    group.rebuild("a", after=first["id"])

    assert group.rebuilt == [[command("build", "a"), command("test", "a")]] * 2


def test_rebuild_starts_another_run_for_a_node_the_first_one_lacks(group: Group) -> None:
    group.states |= {"g.a": "deferred"}
    group.rebuild("a")

    group.states |= {"g.a": "success", "g.d": "deferred"}
    group.rebuild("d")

    assert group.rebuilt[1:] == [[command("build", "d"), command("test", "d")]]


def test_rebuild_finds_its_run_after_a_lost_response(group: Group) -> None:
    group.states |= {"g.a": "deferred"}
    go_wrong(group.server, "close-after", method="POST", path="*/jobs/*/run*")

    assert group.rebuild("a") == 0.0
    assert group.rebuild("a") == 0.0

    assert len(group.rebuilt) == 1


def test_rebuild_repeats_a_failed_call_on_the_next_try(group: Group) -> None:
    group.states |= {"g.a": "deferred"}
    go_wrong(group.server, "503", method="POST", path="*/jobs/*/run*")

    with pytest.raises(AirflowException, match="no run has appeared"):
        group.rebuild("a")
    assert group.rebuild("a") == 0.0

    assert len(group.rebuilt) == 1


def test_rebuild_omits_commands_for_other_kinds_of_nodes(
    make_task: MakeTask, tmp_path: Path
) -> None:
    """With ``--warn-error`` a ``dbt seed`` without seeds fails."""
    task = make_task("dbt seed", "dbt run", "dbt snapshot --exclude b")
    group = Group(task.server, task.start(), tmp_path)
    group.states |= {"g.a": "deferred"}

    group.rebuild("a")
    group.cancel()

    assert group.rebuilt == [[command("run", "a")]]


def test_rebuild_raises_when_no_command_of_the_job_selects_nodes(
    make_task: MakeTask, tmp_path: Path
) -> None:
    task = make_task("dbt run-operation grant_all")
    group = Group(task.server, task.start(), tmp_path)

    with pytest.raises(AirflowException, match="No command of the job selects nodes"):
        group.rebuild("a")


def test_rebuild_omits_nodes_outside_the_run_of_the_job(
    make_task: MakeTask, tmp_path: Path
) -> None:
    task = make_task("dbt run-operation missing", "dbt build --select a d")
    group = Group(task.server, task.start(), tmp_path)
    group.states |= {"g.a": "deferred", "g.b": "deferred", "g.c": None, "g.d": "success"}

    group.rebuild("a")

    assert group.rebuilt == [[command("build", "a")]]
    group.cancel()


def fail_to_rebuild(make_airflow: MakeAirflow) -> ScriptedAirflow:
    """Return a group whose ``c`` failed in the job's run and in a rebuilding run."""
    dbt_cloud = ScriptedDbtCloud(NODES, "dbt build")
    dbt_cloud.choose = in_turn(C, "error", "error")
    airflow = make_airflow(dbt_cloud)
    airflow.run()
    airflow.clear("b")
    airflow.settle()
    assert [run.steps_override for run in dbt_cloud.runs] == [None, [build_only(B, C)]]
    assert airflow.names("failed", "upstream_failed") == {"c", "check_results"}
    return airflow


@pytest.mark.parametrize("has_retried_run", [True, False])
@pytest.mark.parametrize("when", ["before", "before the scheduler", "before the worker"])
def test_rebuild_follows_a_manual_retry_of_its_run(
    make_airflow: MakeAirflow, when: str, has_retried_run: bool
) -> None:
    airflow = fail_to_rebuild(make_airflow)
    dbt_cloud = airflow.dbt_cloud
    dbt_cloud.has_retried_run = has_retried_run

    if when != "before":
        airflow.clear("c")
    if when == "before the worker":  # which must then start another
        airflow.schedule()
        airflow.poll()
        assert airflow.state("c") == "scheduled"
    run = dbt_cloud.retry(dbt_cloud.runs[-1])
    if when == "before":
        dbt_cloud.finish()
        airflow.clear("c")
    airflow.settle()

    assert dbt_cloud.runs[-1] is run
    assert airflow.is_green
    assert airflow.instances[airflow.task_id("c")].xcoms[FOLLOWED] == run.id


def test_rebuild_builds_a_node_whose_parent_was_rebuilt_without_it(
    make_airflow: MakeAirflow,
) -> None:
    """The run that skipped the node is also one that rebuilds it, and its task had no try yet."""
    dbt_cloud = ScriptedDbtCloud(NODES, "dbt build")
    failing = {(1, A), (2, B)}
    dbt_cloud.choose = lambda node, run: (
        "error" if (run.id, node.unique_id) in failing else good_status(node)
    )
    airflow = make_airflow(dbt_cloud)
    airflow.run()
    airflow.clear("a")
    airflow.settle()
    airflow.clear("b", downstream=False)
    airflow.settle()
    assert (airflow.state("b"), airflow.state("c")) == ("success", "upstream_failed")

    airflow.clear("c")
    airflow.settle()

    assert airflow.is_green
    assert [selected(run.commands) for run in dbt_cloud.runs[1:]] == [
        {selector(A), selector(B), selector(C)},
        {selector(B)},
        {selector(C)},
    ]


def test_rebuild_counts_nodes_built_before_a_manual_retry(
    make_airflow: MakeAirflow,
) -> None:
    airflow = fail_to_rebuild(make_airflow)
    run = airflow.dbt_cloud.retry(airflow.dbt_cloud.runs[-1])
    airflow.clear("b")
    airflow.settle()

    assert airflow.dbt_cloud.runs[-1] is run
    assert airflow.is_green


def test_rebuild_ignores_a_manual_run_that_was_retried(
    make_airflow: MakeAirflow,
) -> None:
    airflow = fail_to_rebuild(make_airflow)
    dbt_cloud = airflow.dbt_cloud
    dbt_cloud.choose = in_turn(C, "error")
    failed = dbt_cloud.start()
    dbt_cloud.finish()
    dbt_cloud.retry(failed)

    airflow.clear("c")
    airflow.settle()

    assert dbt_cloud.runs[-1].steps_override == [build_only(C)]
    assert len(dbt_cloud.runs) == 5
    assert airflow.is_green

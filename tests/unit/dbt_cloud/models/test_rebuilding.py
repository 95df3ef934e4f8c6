from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pendulum
import pytest
from airflow.sdk import DAG

from include.dbt_cloud.airflow_compat import AirflowException
from include.dbt_cloud.models import dbt_cloud_models
from include.dbt_cloud.models.rebuilding import PATIENCE, Rebuilding
from tests.running_dbt_cloud import RunningDbtCloud
from tests.unit.dbt_cloud.conftest import MakeTask, go_wrong


class Group:
    """A task group of four models, ``c`` and ``d`` after ``a`` and ``b``, in one Dag run."""

    def __init__(self, server: RunningDbtCloud, run_id: int, folder: Path) -> None:
        self.server = server
        self.job: dict[str, Any] = {"account_id": server.account_id, "job_id": 65767}
        self.job |= {"runs": [run_id], "key": f"airflow-models:{run_id}"}
        self.states: dict[str, str | None] = {f"g.{name}": "success" for name in "abcd"}
        self.stores: dict[str, dict[str, Any]] = {}
        nodes = [self.entry("a"), self.entry("b"), self.entry("c", "a"), self.entry("d", "b")]
        file = folder / "lineage.json"
        file.write_text(json.dumps({"version": 1, "nodes": nodes}))
        with DAG("shop", schedule=None, start_date=pendulum.datetime(2026, 4, 1)) as self.dag:
            dbt_cloud_models("g", job_id=65767, lineage=file)

    @staticmethod
    def entry(name: str, *parents: str) -> dict[str, Any]:
        ids = [f"model.shop.{parent}" for parent in parents]
        return {"unique_id": f"model.shop.{name}", "name": name, "type": "model", "parents": ids}

    def rebuild(self, name: str, followed: int | str = "") -> float:
        """What the worker of a node's task does."""
        task: Any = self.dag.get_task(f"g.{name}")
        task.followed = str(followed)
        store = self.stores.setdefault(name, {})
        ti = SimpleNamespace(
            dag_id="shop",
            run_id="now",
            task_id=task.task_id,
            map_index=-1,
            max_tries=0,
            task=task,
            get_task_states=lambda dag_id, run_ids: {"now": self.states},
        )
        kept = SimpleNamespace(get=store.get, set=store.__setitem__)
        context: Any = {"ti": ti, "task_state_store": kept}
        return Rebuilding(task, context, self.job).run()

    @property
    def rebuilt(self) -> list[list[str]]:
        """The commands of the runs that were started, oldest first."""
        listed = self.server.get(
            "runs/", id__gt=self.job["runs"][0], order_by="id", include_related="trigger"
        )
        ours = (run["trigger"] for run in listed if self.job["key"] in run["trigger"]["cause"])
        return [trigger["steps_override"] for trigger in ours]

    def cancel(self) -> None:
        for run in self.server.get("runs/", id__gt=self.job["runs"][0], status__in="[1,2,3]"):
            self.server.request("POST", f"runs/{run['id']}/cancel/")


@pytest.fixture
def group(make_task: MakeTask, tmp_path: Path) -> Iterator[Group]:
    task = make_task("dbt build --select stg_stores", "dbt parse", "dbt test")
    group = Group(task.server, task.start(), tmp_path)
    yield group
    group.cancel()


def test_one_of_the_waiting_tasks_starts_the_run_for_all(group: Group) -> None:
    group.states |= {"g.a": "deferred", "g.b": "up_for_retry", "g.c": None, "g.d": "success"}

    assert group.rebuild("b") == PATIENCE
    assert group.rebuilt == []
    assert group.rebuild("a") == 0.0
    assert group.rebuild("b") == 0.0  # it is in the run that `a` has started

    assert group.rebuilt == [["dbt build --select a b c", "dbt test --select a b c"]]


def test_a_run_that_a_task_has_followed_before_does_not_count(group: Group) -> None:
    group.states |= {"g.a": "deferred"}
    group.rebuild("a")
    (first,) = group.server.get("runs/", order_by="-id", limit=1)

    group.rebuild("a", followed=first["id"])

    assert group.rebuilt == [["dbt build --select a", "dbt test --select a"]] * 2


def test_a_node_that_the_run_leaves_out_gets_one_of_its_own(group: Group) -> None:
    group.states |= {"g.a": "deferred"}
    group.rebuild("a")

    group.states |= {"g.a": "success", "g.d": "deferred"}
    group.rebuild("d")

    assert group.rebuilt[1:] == [["dbt build --select d", "dbt test --select d"]]


def test_a_lost_answer_starts_no_second_run(group: Group) -> None:
    group.states |= {"g.a": "deferred"}
    go_wrong(group.server, "close-after", method="POST", path="*/jobs/*/run*")

    assert group.rebuild("a") == 0.0
    assert group.rebuild("a") == 0.0

    assert len(group.rebuilt) == 1


def test_a_call_that_did_nothing_is_made_again_by_the_next_try(
    group: Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("include.dbt_cloud.task_state.UNANSWERED_SECONDS", 1.0)
    group.states |= {"g.a": "deferred"}
    go_wrong(group.server, "503", method="POST", path="*/jobs/*/run*")

    with pytest.raises(AirflowException, match="no run has appeared"):
        group.rebuild("a")
    assert group.rebuild("a") == 0.0

    assert len(group.rebuilt) == 1


def test_a_job_that_selects_nothing_is_for_its_own_task_to_run(
    make_task: MakeTask, tmp_path: Path
) -> None:
    task = make_task("dbt run-operation grant_all")
    group = Group(task.server, task.start(), tmp_path)

    with pytest.raises(AirflowException, match="No command of the job selects nodes"):
        group.rebuild("a")

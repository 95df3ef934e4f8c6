"""A scripted Airflow that runs a task group step by step.

It runs the real operators and triggers, and schedules tasks as Airflow 3.3 does. Their calls of dbt
Cloud go to a ``ScriptedDbtCloud``. As in Airflow 3.4, a try cannot read XComs of an earlier one.
With ``forgets``, a clear and a success discard the task's state, as in Airflow 3.4 and with
``[state_store] clear_on_success``.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pendulum
import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import (
    AirflowFailException,
    AirflowSkipException,
    TaskDeferred,
)

from include.dbt_cloud.models import dbt_cloud_models
from include.dbt_cloud.models.following import FINISHED, LATEST, GroupRuns, poll
from include.dbt_cloud.models.operators import JOB as JOB_XCOM
from include.dbt_cloud.models.operators import DbtCloudNodeOperator
from include.dbt_cloud.models.progress import Progress
from include.dbt_cloud.models.trigger import DbtCloudNodeTrigger, followed_by
from tests.unit.dbt_cloud.models.scripted_dbt_cloud import (
    JOB,
    Run,
    ScriptedAsyncClient,
    ScriptedDbtCloud,
    WorkerDiedError,
    serve,
)

GREEN = {"success", "skipped"}
RED = {"failed", "upstream_failed"}
FINISHED_STATES = GREEN | RED
UNFINISHED_STATES = {"deferred", "scheduled", "up_for_retry"}
RUN_JOB, REST = "g.run_job", "g.rest_of_run"
numbers = itertools.count(1)


@dataclass
class Instance:
    """A task instance. ``resume`` continues it in a worker after a deferral."""

    state: str | None = None
    try_number: int = 0
    max_tries: int = 0
    xcoms: dict[str, Any] = field(default_factory=dict)
    stored: dict[str, Any] = field(default_factory=dict)
    trigger: Any = None
    method: str = ""
    resume: tuple[str, Any] | None = None


class ScriptedAirflow:
    """``retries`` and other arguments are those of the group; ``clock`` is in seconds."""

    def __init__(self, dbt_cloud: ScriptedDbtCloud, folder: Path, **arguments: Any) -> None:
        self.dbt_cloud = dbt_cloud
        self.retries = arguments.pop("retries", 0)
        self.forgets = arguments.pop("forgets", False)
        file = folder / f"lineage_{next(numbers)}.json"
        lineage = arguments.pop("lineage", dbt_cloud.nodes)
        entries = [node.as_lineage() for node in lineage]
        file.write_text(json.dumps({"version": 1, "nodes": entries}))
        default_args = {"retries": self.retries}
        start = pendulum.datetime(2026, 4, 1)
        with DAG("shop", schedule=None, start_date=start, default_args=default_args) as self.dag:
            dbt_cloud_models("g", job_id=JOB, lineage=file, retries=self.retries, **arguments)
        self.run_id = f"run_{next(numbers)}"
        self.started = datetime.now(UTC)
        self.clear_number = 0
        self.clock = 0.0
        tasks: list[Any] = self.dag.topological_sort()  # type: ignore[no-untyped-call]
        self.tasks = {task.task_id: task for task in tasks}
        self.instances = {task_id: Instance(max_tries=self.retries) for task_id in self.tasks}
        self.published: list[str] = []
        self.errors: dict[str, str] = {}
        self.polled: dict[GroupRuns, Progress] = {}
        FINISHED.clear()
        LATEST.clear()

    # What Airflow shows

    @property
    def states(self) -> dict[str, str | None]:
        return {task_id: one.state for task_id, one in self.instances.items()}

    def state(self, name: str) -> str | None:
        return self.instances[self.task_id(name)].state

    def names(self, *states: str | None) -> set[str]:
        """Return the names of tasks in these states, without their groups."""
        return {one.split(".")[-1] for one, state in self.states.items() if state in states}

    @property
    def has_ended(self) -> bool:
        return all(one.state in FINISHED_STATES for one in self.instances.values())

    @property
    def is_green(self) -> bool:
        """Return whether the group succeeded, as seen by a downstream task."""
        return all(one.state in GREEN for one in self.instances.values())

    def task_id(self, name: str) -> str:
        """Return the task id; ``name`` can omit the groups."""
        found = [one for one in self.tasks if name in (one, one.split(".")[-1])]
        return str(found[0])

    def chain(self) -> list[int]:
        """Return the runs in the XCom of the job's task."""
        runs: list[int] = json.loads(self.instances[RUN_JOB].xcoms[JOB_XCOM])["runs"]
        return runs

    def rebuilds(self, run: Run) -> bool:
        """Return whether the run rebuilds nodes of this group, or resumes such a run."""
        return json.loads(self.instances[RUN_JOB].xcoms[JOB_XCOM])["key"] in run.origin.cause

    def node_tasks(self) -> dict[str, DbtCloudNodeOperator]:
        """Return unique id → task of each node with its own task."""
        nodes = [one for one in self.tasks.values() if isinstance(one, DbtCloudNodeOperator)]
        return {task.unique_id: task for task in nodes}

    # What happens in Airflow

    def schedule(self) -> bool:
        """Start every task whose trigger rule is met; return whether anything changed."""
        changed = False
        for task_id, one in self.instances.items():
            if one.state is None and (state := self._state_by_rule(self.tasks[task_id])):
                one.state, changed = state, True
            if one.state == "scheduled" and self._begins_in_triggerer(task_id):
                changed = True
        return changed

    def _state_by_rule(self, task: Any) -> str | None:
        """Evaluate the trigger rule as ``airflow.ti_deps.deps.trigger_rule_dep`` does."""
        above = [self.instances[one].state for one in task.upstream_task_ids]
        rule = str(getattr(task.trigger_rule, "value", task.trigger_rule))
        if RED.intersection(above):
            return "upstream_failed"
        if "skipped" in above and rule == "all_success":
            return "skipped"
        if above and set(above) == {"skipped"} and rule == "none_failed_min_one_success":
            return "skipped"
        assert rule in ("all_success", "none_failed", "none_failed_min_one_success"), rule
        return "scheduled" if all(one in GREEN for one in above) else None

    def _begins_in_triggerer(self, task_id: str) -> bool:
        task, one = self.tasks[task_id], self.instances[task_id]
        if not isinstance(task, DbtCloudNodeOperator) or one.resume:
            return False
        one.try_number += 1
        one.xcoms.clear()
        job, followed = self._rendered(task_id)
        kwargs = {**task.trigger_kwargs, "job": job, "followed": followed}
        self._defer(one, DbtCloudNodeTrigger(**kwargs), "execute_complete")
        return True

    def _rendered(self, task_id: str) -> tuple[str, str]:
        one = self.instances[task_id]
        xcoms = self.instances[RUN_JOB].xcoms
        followed = xcoms.get(followed_by(task_id), "") if one.try_number > 1 else ""
        return xcoms.get(JOB_XCOM, ""), str(followed)

    def _defer(self, one: Instance, trigger: Any, method: str) -> None:
        _, kwargs = trigger.serialize()
        one.trigger, one.method, one.state = type(trigger)(**kwargs), method, "deferred"

    def work(self, *names: str) -> None:
        """Run these tasks in workers, or all scheduled ones."""
        chosen = {self.task_id(name) for name in names} or set(self.tasks)
        for task_id, one in self.instances.items():
            if task_id in chosen and one.state == "scheduled":
                self._work(task_id)

    def _work(self, task_id: str) -> None:
        task, one = self.tasks[task_id], self.instances[task_id]
        resume, one.resume = one.resume, None
        if resume is None:
            one.try_number += 1
            one.xcoms.clear()
        one.state = "running"
        context = self.context(task_id)
        task.__dict__.pop("hook", None)  # a worker is a separate process
        task.__dict__.pop("client", None)
        if isinstance(task, DbtCloudNodeOperator):
            task.job, task.followed = self._rendered(task_id)
        try:
            method, event = resume or ("execute", None)
            arguments = (context, event) if resume else (context,)
            value = getattr(task, method)(*arguments)
        except TaskDeferred as deferred:
            self._defer(one, deferred.trigger, deferred.method_name)
        except AirflowSkipException:
            one.state = "skipped"
        except AirflowFailException as error:
            self.errors[task_id], one.state = str(error), "failed"
        except WorkerDiedError:
            self._fail(task_id, one)
        except Exception as error:
            self.errors[task_id] = f"{type(error).__name__}: {error}"
            self._fail(task_id, one)
        else:
            one.xcoms["return_value"] = value
            self._succeed(one)
            self.published += [asset.uri for asset in task.outlets]

    def _succeed(self, one: Instance) -> None:
        one.state = "success"
        if self.forgets:
            one.stored.clear()

    def _fail(self, task_id: str, one: Instance) -> None:
        one.state = "up_for_retry" if one.try_number <= one.max_tries else "failed"

    def poll(self) -> None:
        """Poll once for all triggers."""
        deferred = [(key, one) for key, one in self.instances.items() if one.state == "deferred"]
        for task_id, one in deferred:
            if isinstance(one.trigger, DbtCloudNodeTrigger):
                self._poll_node(task_id, one)
            elif not self._run(one.trigger.target.run_id).is_active:
                run_id = one.trigger.target.run_id
                self._resume(one, {"run_id": run_id, "outcome": "ended", "message": ""})
        self.polled.clear()

    def _run(self, run_id: int) -> Any:
        return self.dbt_cloud.runs[run_id - 1]

    def _poll_node(self, task_id: str, one: Instance) -> None:
        group = one.trigger.shared_stream_key()
        if group is None:
            events = asyncio.run(first_of(one.trigger.run()))
            self._take(task_id, one, events)
            return
        if group not in self.polled:
            self.polled[group] = self._poll(group)
        one.trigger._task_instance = self.context(task_id)["ti"]
        if event := one.trigger.event(self.polled[group]):
            self._take(task_id, one, event)

    def _poll(self, group: GroupRuns) -> Progress:
        before = LATEST.get(group, Progress())
        try:
            client: Any = ScriptedAsyncClient(self.dbt_cloud)
            LATEST[group] = asyncio.run(poll(client, group, before))
        except Exception as error:
            return Progress(before.runs, problem=str(error))
        return LATEST[group]

    def _take(self, task_id: str, one: Instance, event: Any) -> None:
        """Handle a trigger's event as the triggerer does."""
        state = getattr(event, "task_instance_state", None)
        if state is None:
            self._resume(one, event.payload)
            return
        xcoms = event.xcoms or {}
        one.state = str(state)
        if state == "failed":
            self._fail(task_id, one)
        if one.state != "up_for_retry":  # Airflow deletes the XComs of a retried task
            one.xcoms |= xcoms
        if state == "success":
            self._succeed(one)

    def _resume(self, one: Instance, payload: Any) -> None:
        one.resume, one.trigger, one.state = (one.method, payload), None, "scheduled"

    def retry(self, *names: str) -> None:
        """End the retry delay of these tasks, or of all."""
        chosen = {self.task_id(name) for name in names} or set(self.tasks)
        for task_id, one in self.instances.items():
            if task_id in chosen and one.state == "up_for_retry":
                one.state = "scheduled"

    def clear(self, *names: str, downstream: bool = True) -> None:
        self.clear_number += 1
        for task_id in self.with_downstream(names) if downstream else map(self.task_id, names):
            one = self.instances[task_id]
            self._kill(one)
            one.state, one.max_tries = None, one.try_number + self.retries
            one.resume, one.trigger = None, None
            if self.forgets:
                one.stored.clear()

    def with_downstream(self, names: tuple[str, ...]) -> set[str]:
        found = {self.task_id(name) for name in names}
        for task_id, task in self.tasks.items():
            if not found.isdisjoint(task.upstream_task_ids):
                found.add(task_id)
        return found

    def mark(self, name: str, state: str) -> None:
        one = self.instances[self.task_id(name)]
        self._kill(one)
        one.state, one.resume, one.trigger = state, None, None

    def _kill(self, one: Instance) -> None:
        if one.trigger:
            asyncio.run(one.trigger.on_kill())

    def time_out(self, name: str) -> None:
        """End the ``execution_timeout`` of a waiting task."""
        one = self.instances[self.task_id(name)]
        event = {"run_id": one.trigger.target.run_id, "outcome": "timeout", "message": "too long"}
        self._resume(one, event)

    def restart_triggerer(self) -> None:
        FINISHED.clear()
        LATEST.clear()
        for one in self.instances.values():
            if one.trigger:
                self._defer(one, one.trigger, one.method)

    def start(self) -> Run:
        """Start the job's run, and let the other tasks wait."""
        for name in (RUN_JOB, REST):
            self.schedule()
            self.work(name)
        return self.dbt_cloud.runs[-1]

    def advance_until(self, is_there: Callable[[], bool]) -> None:
        """Advance the run and poll, until a condition is met."""
        while not is_there():
            assert self.dbt_cloud.advance(), "the run has ended before"
            self.step()

    def step(self) -> None:
        """Run scheduler, workers and triggerer once."""
        while self.schedule():
            pass
        self.work()
        self.poll()

    def settle(self, rounds: int = 60) -> None:
        """Continue until nothing changes."""
        for _ in range(rounds):
            self.dbt_cloud.finish()
            self.step()
            self.clock += 5
            if self.has_ended:
                return
            self.retry()
        raise AssertionError(f"These tasks never end: {self.states}")

    def run(self) -> dict[str, str | None]:
        """Run the group, with a poll after each event in dbt Cloud."""
        self.step()
        while self.dbt_cloud.advance():
            self.step()
        self.settle()
        return self.states

    # What a task sees

    def context(self, task_id: str) -> Any:
        task, one = self.tasks[task_id], self.instances[task_id]
        ti = SimpleNamespace(
            dag_id="shop",
            run_id=self.run_id,
            task_id=task_id,
            map_index=-1,
            try_number=one.try_number,
            max_tries=one.max_tries,
            start_date=self.started,
            task=task,
            xcom_push=lambda key, value: one.xcoms.update({key: value}),
            xcom_pull=self._pull,
            get_task_states=lambda dag_id, run_ids: {self.run_id: self.states},
        )
        dag_run = SimpleNamespace(
            start_date=self.started, run_after=self.started, clear_number=self.clear_number
        )
        store = SimpleNamespace(get=one.stored.get, set=one.stored.__setitem__)
        outlets: dict[Any, Any] = {
            asset: SimpleNamespace(extra={}) for asset in getattr(task, "outlets", ())
        }
        return {
            "ti": ti,
            "dag_run": dag_run,
            "task_state_store": store,
            "outlet_events": outlets,
        }

    def push(self, key: str, value: Any, task_id: str, **_: str) -> None:
        self.instances[task_id].xcoms[key] = value

    def _pull(self, task_ids: str, key: str = "return_value", map_indexes: Any = None) -> Any:
        return self.instances[task_ids].xcoms.get(key)


async def first_of(events: Any) -> Any:
    return await anext(aiter(events))


MakeAirflow = Callable[..., ScriptedAirflow]


def scripted(monkeypatch: pytest.MonkeyPatch, folder: Path) -> MakeAirflow:
    """Create a ``ScriptedAirflow``, one at a time."""
    made: list[ScriptedAirflow] = []
    serve(monkeypatch, lambda: made[-1].dbt_cloud)
    xcom = SimpleNamespace(set=lambda *args, **place: made[-1].push(*args, **place))
    monkeypatch.setattr("include.dbt_cloud.models.trigger.XCom", xcom)
    clock = SimpleNamespace(monotonic=lambda: made[-1].clock, time=time.time, sleep=time.sleep)
    monkeypatch.setattr("include.dbt_cloud.models.trigger.time", clock)
    monkeypatch.setattr("include.dbt_cloud.run.polling.time", clock)

    def client(*_: Any) -> ScriptedAsyncClient:
        return ScriptedAsyncClient(made[-1].dbt_cloud)

    monkeypatch.setattr("include.dbt_cloud.run.trigger.AsyncDbtCloudClient", client)

    def make(dbt_cloud: ScriptedDbtCloud, **arguments: Any) -> ScriptedAirflow:
        made.append(airflow := ScriptedAirflow.__new__(ScriptedAirflow))
        airflow.__init__(dbt_cloud, folder, **arguments)  # type: ignore[misc]
        return airflow

    return make

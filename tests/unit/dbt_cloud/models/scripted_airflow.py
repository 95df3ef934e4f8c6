"""A Dag run of a task group on an Airflow that does what a test says, one thing at a time.

It runs the real operators and triggers, and decides which task is next as Airflow 3.3 does. What
they ask of dbt Cloud goes to a ``ScriptedDbtCloud``. As in Airflow 3.4 no try sees what an earlier
one has pushed. With ``forgets`` a clear and a success discard what the task has stored, as they do
in Airflow 3.4 and with ``[state_store] clear_on_success``.
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
from include.dbt_cloud.models.following import LATEST, SETTLED, Followed, look
from include.dbt_cloud.models.operators import JOB as TOLD
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
ENDED = GREEN | RED
WAITING = {"deferred", "scheduled", "up_for_retry"}
RUN_JOB, REST = "g.run_job", "g.rest_of_run"
numbers = itertools.count(1)


@dataclass
class Instance:
    """A task instance. ``resume`` is what its worker does next, if it was deferred before."""

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
        self.instances = {task_id: Instance() for task_id in self.tasks}
        self.published: list[str] = []
        self.errors: dict[str, str] = {}
        self.looked: dict[Followed, Progress] = {}
        SETTLED.clear()
        LATEST.clear()

    # What Airflow shows

    @property
    def states(self) -> dict[str, str | None]:
        return {task_id: one.state for task_id, one in self.instances.items()}

    def state(self, name: str) -> str | None:
        return self.instances[self.task_id(name)].state

    def names(self, *states: str | None) -> set[str]:
        """Of the tasks in one of these states, without their groups."""
        return {one.split(".")[-1] for one, state in self.states.items() if state in states}

    @property
    def has_ended(self) -> bool:
        return all(one.state in ENDED for one in self.instances.values())

    @property
    def is_green(self) -> bool:
        """The whole group, as a Dag's own end or a task after the group would see it."""
        return all(one.state in GREEN for one in self.instances.values())

    def task_id(self, name: str) -> str:
        """``name`` may lack the groups that the task is in."""
        found = [one for one in self.tasks if name in (one, one.split(".")[-1])]
        return str(found[0])

    def chain(self) -> list[int]:
        """The runs that the job's task has told of."""
        runs: list[int] = json.loads(self.instances[RUN_JOB].xcoms[TOLD])["runs"]
        return runs

    def rebuilds(self, run: Run) -> bool:
        """Whether the run builds nodes of this group again, or resumes one that does."""
        return json.loads(self.instances[RUN_JOB].xcoms[TOLD])["key"] in run.origin.cause

    def node_tasks(self) -> dict[str, DbtCloudNodeOperator]:
        """Unique id of each node that has a task of its own → that task."""
        nodes = [one for one in self.tasks.values() if isinstance(one, DbtCloudNodeOperator)]
        return {task.unique_id: task for task in nodes}

    # What happens in Airflow

    def schedule(self) -> bool:
        """Every task whose trigger rule is met begins; whether anything has changed."""
        changed = False
        for task_id, one in self.instances.items():
            if one.state is None and (state := self._state_by_rule(self.tasks[task_id])):
                one.state, changed = state, True
            if one.state == "scheduled" and self._begins_in_triggerer(task_id):
                changed = True
        return changed

    def _state_by_rule(self, task: Any) -> str | None:
        """As ``airflow.ti_deps.deps.trigger_rule_dep`` has it."""
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
        told = self.instances[RUN_JOB].xcoms
        followed = told.get(followed_by(task_id), "") if one.try_number > 1 else ""
        return told.get(TOLD, ""), str(followed)

    def _defer(self, one: Instance, trigger: Any, method: str) -> None:
        _, kwargs = trigger.serialize()
        one.trigger, one.method, one.state = type(trigger)(**kwargs), method, "deferred"

    def work(self, *names: str) -> None:
        """Workers take these tasks, or all that wait for one."""
        wanted = {self.task_id(name) for name in names} or set(self.tasks)
        for task_id, one in self.instances.items():
            if task_id in wanted and one.state == "scheduled":
                self._work(task_id)

    def _work(self, task_id: str) -> None:
        task, one = self.tasks[task_id], self.instances[task_id]
        resume, one.resume = one.resume, None
        if resume is None:
            one.try_number += 1
            one.xcoms.clear()
        one.state = "running"
        context = self.context(task_id)
        task.__dict__.pop("hook", None)  # a worker is a process of its own
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
        """The triggerer looks once, and all its triggers hear of it."""
        deferred = [(key, one) for key, one in self.instances.items() if one.state == "deferred"]
        for task_id, one in deferred:
            if isinstance(one.trigger, DbtCloudNodeTrigger):
                self._poll_node(task_id, one)
            elif not self._run(one.trigger.wait.run_id).is_active:
                run_id = one.trigger.wait.run_id
                self._resume(one, {"run_id": run_id, "outcome": "ended", "message": ""})
        self.looked.clear()

    def _run(self, run_id: int) -> Any:
        return self.dbt_cloud.runs[run_id - 1]

    def _poll_node(self, task_id: str, one: Instance) -> None:
        followed = one.trigger.shared_stream_key()
        if followed is None:
            events = asyncio.run(first_of(one.trigger.run()))
            self._take(task_id, one, events)
            return
        if followed not in self.looked:
            self.looked[followed] = self._look(followed)
        one.trigger._task_instance = self.context(task_id)["ti"]
        if event := one.trigger.event(self.looked[followed]):
            self._take(task_id, one, event)

    def _look(self, followed: Followed) -> Progress:
        before = LATEST.get(followed, Progress())
        try:
            client: Any = ScriptedAsyncClient(self.dbt_cloud)
            LATEST[followed] = asyncio.run(look(client, followed, before))
        except Exception as error:
            return Progress(before.runs, problem=str(error))
        return LATEST[followed]

    def _take(self, task_id: str, one: Instance, event: Any) -> None:
        """What the triggerer does with a trigger's event."""
        state = getattr(event, "task_instance_state", None)
        if state is None:
            self._resume(one, event.payload)
            return
        xcoms = event.xcoms or {}
        one.state = str(state)
        if state == "failed":
            self._fail(task_id, one)
        if one.state != "up_for_retry":  # Airflow keeps no XCom of a task that is tried again
            one.xcoms |= xcoms
        if state == "success":
            self._succeed(one)

    def _resume(self, one: Instance, payload: Any) -> None:
        one.resume, one.trigger, one.state = (one.method, payload), None, "scheduled"

    def retry(self, *names: str) -> None:
        """The delay of these tasks, or of all, is over."""
        wanted = {self.task_id(name) for name in names} or set(self.tasks)
        for task_id, one in self.instances.items():
            if task_id in wanted and one.state == "up_for_retry":
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
        """The ``execution_timeout`` of a task that waits for a run is over."""
        one = self.instances[self.task_id(name)]
        event = {"run_id": one.trigger.wait.run_id, "outcome": "timeout", "message": "too long"}
        self._resume(one, event)

    def restart_triggerer(self) -> None:
        SETTLED.clear()
        LATEST.clear()
        for one in self.instances.values():
            if one.trigger:
                self._defer(one, one.trigger, one.method)

    def start(self) -> Run:
        """The job's task starts its run, and the other ones wait."""
        for name in (RUN_JOB, REST):
            self.schedule()
            self.work(name)
        return self.dbt_cloud.runs[-1]

    def advance_until(self, is_there: Callable[[], bool]) -> None:
        """The run goes on, and all tasks hear of it, until something is there."""
        while not is_there():
            assert self.dbt_cloud.advance(), "the run has ended before"
            self.goes_on()

    def goes_on(self) -> None:
        """Scheduler, workers and triggerer do what there is to do."""
        while self.schedule():
            pass
        self.work()
        self.poll()

    def settle(self, rounds: int = 60) -> None:
        """All goes on by itself until nothing changes any more."""
        for _ in range(rounds):
            self.dbt_cloud.finish()
            self.goes_on()
            self.clock += 5
            if self.has_ended:
                return
            self.retry()
        raise AssertionError(f"These tasks never end: {self.states}")

    def run(self) -> dict[str, str | None]:
        """The group from beginning to end, with a poll after each event in dbt Cloud."""
        self.goes_on()
        while self.dbt_cloud.advance():
            self.goes_on()
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
    """Makes a ``ScriptedAirflow``; one at a time."""
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

"""Random sequences of events of a task group, in Airflow and in dbt Cloud.

By default the same sequences are tried each time;
``SEARCH_EXAMPLES=9000 pytest tests/unit/dbt_cloud/models/test_task_group_search.py`` searches new
ones for minutes. Each finding becomes a separate test.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

pytest.importorskip("hypothesis")  # not in the Astro image
import structlog
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from include.dbt_cloud.models.trigger import FOLLOWED
from include.dbt_cloud.run.idempotency_key import IdempotencyKey
from tests.unit.dbt_cloud.models.scripted_airflow import FINISHED_STATES, RUN_JOB, scripted
from tests.unit.dbt_cloud.models.scripted_dbt_cloud import (
    ERROR,
    GOOD,
    SUCCESS,
    Node,
    Run,
    ScriptedDbtCloud,
    good_status,
)

EXAMPLES = int(os.environ.get("SEARCH_EXAMPLES", "100"))
CHECK = "g.check_results"
SEED, SNAPSHOT = "seed.shop.s", "snapshot.shop.z"
A, B, C, D = (f"model.shop.{name}" for name in "abcd")
NODES = [
    Node(SEED),
    Node("test.shop.unique_s.f00", (SEED,)),
    Node(A, (SEED,), folder="staging"),
    Node(B, (A,), folder="marts", tags=("daily",)),
    Node("test.shop.unique_b.f00", (B,)),
    Node("unit_test.shop.b.totals", (B,)),
    Node(C, (B,), folder="marts"),
    Node(D, folder="finance"),
    Node("test.shop.b_fits_d.f00", (B, D)),
    Node(SNAPSHOT, (D,)),
]
COMMANDS = [
    "dbt build",
    "dbt build --select b c",
    "dbt build --select b",
    "dbt build --select tag:daily",
    "dbt build --select a+",
    "dbt build --select marts --threads 4",
    "dbt run",
    "dbt run --select staging",
    "dbt run --select finance",
    "dbt seed",
    "dbt snapshot",
    "dbt test",
    "dbt test --select b",
    "dbt docs generate",
    "dbt source freshness",
    "dbt run-operation build",
]
# Outcomes of the next node; a lie is good in the log and bad in the results.
FATES = ["good"] * 8 + ["error", "fail", "warn", "reused", "partial success", "lie"]


# Other events of a search; each search has some, so that they do not hide each other.
EVENTS = ["fails", "hooks", "cancels", "retries", "runs", "refuses", "dies", "clears", "marks"]


Rule = TypeVar("Rule", bound=Callable[..., None])


def only(event: str) -> Callable[[Rule], Rule]:
    """Return a rule that applies to searches with this event."""
    only_then: Any = precondition(lambda self: event in self.happens)
    return lambda function: only_then(function)


@dataclass
class Cleared:
    """A cleared task, and the run that its last try followed."""

    task_id: str
    followed: int


class GroupSearch(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.patches = pytest.MonkeyPatch()
        self.folder = tempfile.TemporaryDirectory()
        self.make = scripted(self.patches, Path(self.folder.name))
        self.fate = "good"
        self.lies: set[str] = set()
        self.marked: set[str] = set()
        self.cleared: list[Cleared] = []
        self.was_silent = False
        self.was_cleared_in_part = False
        self.is_unchecked = False  # check_results was not cleared with other tasks

    @initialize(
        steps=st.lists(st.sampled_from(COMMANDS), min_size=1, max_size=4),
        grammar=st.sampled_from(["core", "fusion", "unknown"]),
        forgets=st.booleans(),
        retries=st.integers(0, 1),
        lacks=st.sampled_from(["", "", "d", "a", "unique_b"]),
        arguments=st.sampled_from([{}, {}, {"exclude": ["a"]}, {"tests_as_tasks": True}]),
        happens=st.sets(st.sampled_from(EVENTS)),
    )
    def start(
        self,
        steps: list[str],
        grammar: str,
        forgets: bool,
        retries: int,
        lacks: str,
        arguments: dict[str, Any],
        happens: set[str],
    ) -> None:
        self.happens = happens
        self.dbt_cloud = ScriptedDbtCloud(NODES, *steps, grammar=grammar)
        self.dbt_cloud.choose = self.choose
        self.airflow = self.make(
            self.dbt_cloud,
            retries=retries,
            forgets=forgets,
            lineage=[node for node in NODES if node.name != lacks],
            namespace="snowflake://acme",
            lost_answer_seconds=0.0,
            **arguments,
        )

    def choose(self, node: Node, run: Run) -> str:
        fate, self.fate = self.fate, "good"
        self.dbt_cloud.logged.pop(node.unique_id, None)
        if fate == "lie":
            self.lies.add(node.unique_id)
            self.dbt_cloud.logged[node.unique_id] = good_status(node)
        if node.is_test:
            return {"warn": "warn", "good": "pass", "reused": "pass"}.get(fate, "fail")
        return {"good": "success", "warn": "success", "fail": "error", "lie": "error"}.get(
            fate, fate
        )

    # Both

    @rule(fate=st.sampled_from(FATES), after=st.integers(0, 12), times=st.integers(5, 40))
    def advance(self, fate: str, after: int, times: int) -> None:
        """Advance for a while, with a given outcome of one node."""
        for number in range(times):
            self.fate = fate if number == after else self.fate
            self.dbt_cloud.advance()
            self.airflow.step()

    @rule(fate=st.sampled_from(FATES), after=st.integers(0, 20))
    def advance_to_the_end(self, fate: str, after: int) -> None:
        self.advance(fate, after, 60)

    # dbt Cloud

    @rule(fate=st.sampled_from(FATES), times=st.integers(1, 12))
    def dbt_advances(self, fate: str, times: int) -> None:
        self.fate = fate
        for _ in range(times):
            self.dbt_cloud.advance()

    @only("fails")
    @rule(data=st.data())
    def a_command_fails(self, data: st.DataObject) -> None:
        command = data.draw(st.sampled_from(["", "dbt deps", *self.dbt_cloud.job_steps]))
        self.dbt_cloud.choose_command = lambda one: one != command

    @only("hooks")
    @rule(status=st.sampled_from(["success", "error"]))
    def a_hook_runs(self, status: str) -> None:
        self.dbt_cloud.hooks = {"operation.shop.shop-on-run-end-0": status}

    @only("cancels")
    @precondition(lambda self: self.dbt_cloud.runs)
    @rule()
    def a_person_cancels_the_newest_run(self) -> None:
        self.dbt_cloud.cancel(self.dbt_cloud.runs[-1])

    @only("retries")
    @precondition(lambda self: self.dbt_cloud.runs)
    @rule()
    def a_person_retries_the_newest_run(self) -> None:
        run = self.dbt_cloud.runs[-1]
        if not self.dbt_cloud.reason(run):
            self.dbt_cloud.retry(run)

    @only("runs")
    @rule()
    def a_person_runs_the_job(self) -> None:
        if len(self.dbt_cloud.runs) < 12:
            self.dbt_cloud.start()

    @only("refuses")
    @rule(status=st.sampled_from([0, 401, 403]), is_down=st.booleans())
    def dbt_cloud_refuses(self, status: int, is_down: bool) -> None:
        self.dbt_cloud.refused, self.dbt_cloud.is_down = status, is_down

    # Airflow

    @rule(seconds=st.sampled_from([1, 20, 2000]))
    def the_triggerer_polls(self, seconds: int) -> None:
        self.airflow.clock += seconds
        self.was_silent = self.was_silent or self.dbt_cloud.is_down or self.dbt_cloud.refused > 0
        self.airflow.poll()

    @rule()
    def the_scheduler_schedules(self) -> None:
        self.airflow.schedule()

    @rule(dies=st.sampled_from(["", "", "", "", "before", "after"]))
    def workers_work(self, dies: str) -> None:
        self.dbt_cloud.dies = dies if "dies" in self.happens else ""
        self.airflow.work()
        self.dbt_cloud.dies = ""

    @rule()
    def delays_are_over(self) -> None:
        self.airflow.retry()

    @rule()
    def the_triggerer_starts_again(self) -> None:
        self.airflow.restart_triggerer()

    @only("clears")
    @rule(data=st.data(), downstream=st.booleans())
    def a_person_clears(self, data: st.DataObject, downstream: bool) -> None:
        task_id = data.draw(st.sampled_from(sorted(self.airflow.tasks)))
        names = self.airflow.with_downstream((task_id,)) if downstream else {task_id}
        for one in names & {task.task_id for task in self.airflow.node_tasks().values()}:
            instance = self.airflow.instances[one]
            if instance.state in FINISHED_STATES - {"upstream_failed"} and one not in self.marked:
                followed = instance.xcoms.get(FOLLOWED, 0)
                self.cleared.append(Cleared(one, followed))
        self.was_cleared_in_part |= not downstream
        self.is_unchecked = CHECK not in names and (self.is_unchecked or not downstream)
        self.marked -= names
        self.airflow.clear(task_id, downstream=downstream)

    @only("marks")
    @rule(data=st.data(), state=st.sampled_from(["success", "failed", "skipped"]))
    def a_person_marks(self, data: st.DataObject, state: str) -> None:
        task_id = data.draw(st.sampled_from(sorted(self.airflow.tasks)))
        self.marked.add(task_id)
        self.cleared = [one for one in self.cleared if one.task_id != task_id]
        self.airflow.mark(task_id, state)

    # What always holds

    def statuses(self, run: Run, unique_id: str) -> list[str]:
        """Return the statuses by step; for a resuming run also those of the resumed one."""
        found = [step.results.get(unique_id) for step in run.steps if unique_id in step.results]
        return [status for status in found if status]

    def run_of(self, task_id: str) -> Run | None:
        run_id = self.airflow.instances[task_id].xcoms.get(FOLLOWED)
        return self.dbt_cloud.runs[run_id - 1] if run_id else None

    @invariant()
    def a_green_task_is_that_of_a_good_node(self) -> None:
        for task in self.airflow.node_tasks().values():
            instance, run = self.airflow.instances[task.task_id], self.run_of(task.task_id)
            if instance.state != "success" or task.task_id in self.marked or run is None:
                continue
            if self.lies.isdisjoint(task.nodes):
                found = {one: self.statuses(run, one) for one in task.nodes}
                # A test may be skipped: another node that it is about has failed.
                bad = {one for one in found for status in found[one] if is_bad(one, status)}
                assert not bad, (task.task_id, run.id, run.commands, found)
            before = [one for one in self.dbt_cloud.runs if one.id <= run.id]
            is_built = any(self.statuses(one, task.unique_id) for one in before)
            assert is_built, (task.task_id, run.id, run.commands)

    @invariant()
    def a_node_that_was_built_is_not_skipped(self) -> None:
        for task in self.airflow.node_tasks().values():
            instance, run = self.airflow.instances[task.task_id], self.run_of(task.task_id)
            if instance.state != "skipped" or task.task_id in self.marked or run is None:
                continue
            statuses = self.statuses(run, task.unique_id)
            assert statuses[-1:] in ([], ["skipped"]), (task.task_id, run.commands, statuses)

    def teardown(self) -> None:
        try:
            if hasattr(self, "airflow"):
                self.everything_ends_well()
        finally:
            self.patches.undo()
            self.folder.cleanup()

    def everything_ends_well(self) -> None:
        """Let everything succeed from now on."""
        self.dbt_cloud.refused, self.dbt_cloud.is_down, self.fate = 0, False, "good"
        self.airflow.settle()
        self.a_green_task_is_that_of_a_good_node()
        self.a_node_that_was_built_is_not_skipped()
        self.what_was_built_is_not_skipped()
        self.what_was_cleared_has_followed_another_run()
        self.a_green_group_is_that_of_a_good_run()

    def what_was_cleared_has_followed_another_run(self) -> None:
        for one in self.cleared:
            instance = self.airflow.instances[one.task_id]
            is_refused = one.task_id in self.airflow.errors  # no command of the job selects nodes
            if instance.state in ("success", "failed") and not self.was_silent and not is_refused:
                assert instance.xcoms.get(FOLLOWED, 0) > one.followed, one

    def a_green_group_is_that_of_a_good_run(self) -> None:
        if not self.airflow.is_green or self.marked or self.is_unchecked:
            return
        runs = self.runs_of_group()
        decisive = {[one for one in runs if not self.airflow.rebuilds(one)][-1].id}
        for node in NODES:
            ran = [one for one in runs if self.statuses(one, node.unique_id)]
            if ran:
                decisive.add(ran[-1].id)
                statuses = self.statuses(ran[-1], node.unique_id)
                assert {*statuses} <= GOOD, (node, statuses, self.airflow.states)
        for run in runs:
            is_good = run.id not in decisive or run.status == SUCCESS or self.is_explained(run)
            assert is_good, (run.id, run.commands, run.status, self.airflow.states)

    def is_explained(self, run: Run) -> bool:
        """Return whether a node failed, or got no result, so that its task has built it again."""
        if run.status != ERROR:
            return False
        results = [one for step in run.steps for one in step.results.values()]
        lost = self.dbt_cloud.lost_by(run)
        return not GOOD.issuperset(results) or not lost.isdisjoint(self.airflow.node_tasks())

    def what_was_built_is_not_skipped(self) -> None:
        if self.was_cleared_in_part and not self.airflow.is_green:
            return  # a run that builds a node again tests it too; its tests' tasks have ended
        for task in self.airflow.node_tasks().values():
            state, unique_id = self.airflow.instances[task.task_id].state, task.unique_id
            if state == "skipped" and not self.marked:
                runs = self.runs_of_group()
                if is_test(unique_id):  # a rebuilding run of a node also tests it
                    runs = [one for one in runs if not self.airflow.rebuilds(one)]
                found = [self.statuses(run, unique_id) for run in runs]
                built = [statuses for statuses in found if statuses]
                assert not built or built[-1][-1] == "skipped", (task.task_id, built)

    def runs_of_group(self) -> list[Run]:
        """Return the job's newest run after those that it finishes, and rebuilding ones.

        Oldest first. The job's task has no own steps, so a run with steps finishes another.
        """
        own = self.airflow.instances[RUN_JOB].xcoms.get("job_run_id")
        if own is None:
            return []
        key = f"[{IdempotencyKey.of(self.airflow.context(RUN_JOB))}]"
        tried = [one for one in self.dbt_cloud.runs if one.id <= own and key in one.origin.cause]
        job = [self.dbt_cloud.runs[own - 1]]
        while job[0].retries or job[0].steps_override:
            earlier = [one for one in tried if one.id < job[0].id]
            job.insert(0, job[0].retries or earlier[-1])
        again = [one for one in self.dbt_cloud.runs if self.airflow.rebuilds(one)]
        counts = [*job, *(one for one in again if one.id > job[0].id)]
        return sorted(counts, key=lambda one: one.id)


def is_test(unique_id: str) -> bool:
    return unique_id.partition(".")[0] in ("test", "unit_test")


def is_bad(unique_id: str, status: str) -> bool:
    return status not in (GOOD | {"skipped"} if is_test(unique_id) else GOOD)


@contextmanager
def no_logs() -> Iterator[None]:
    """Disable logs, which would take most of the time."""
    configured = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
        structlog.configure(**configured)


def test_no_sequence_of_events_breaks_a_task_group_invariant() -> None:
    about = settings(
        max_examples=EXAMPLES,
        stateful_step_count=50,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
        report_multiple_bugs=False,
    )
    with no_logs():
        run_state_machine_as_test(GroupSearch, settings=about)

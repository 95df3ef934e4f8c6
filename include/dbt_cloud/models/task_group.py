"""A dbt Cloud job as a task group: the job's run, and a task per node of the project."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from airflow.sdk import Asset, TaskGroup

from ..api.artifacts import BUILT, TESTS
from .assets import assets_in
from .lineage import Lineage, LineageNode, read_lineage
from .operators import DbtCloudNodeOperator, DbtCloudStartJobOperator
from .rest_of_run import DbtCloudCheckResultsOperator, DbtCloudRestOfRunOperator
from .task_names import LONGEST_ID, Groups, names_of, paths_of

RESERVED = RUN_JOB, REST_OF_RUN, CHECK_RESULTS = "run_job", "rest_of_run", "check_results"


def dbt_cloud_models(
    group_id: str,
    *,
    job_id: int,
    lineage: Path | str,
    select: Sequence[str] = (),
    exclude: Sequence[str] = (),
    types: Sequence[str] = BUILT,
    tests_as_tasks: bool = False,
    namespace: str = "",
    **job: Any,
) -> TaskGroup:
    """Create the task group, inside a Dag; raise ``ValueError`` for an invalid lineage file.

    Its last task is ``check_results``. A task after the group runs if no node's task failed. Nodes
    that the run does not build are skipped, which skips nothing after the group. If the job does
    not always build a node, give a task after that node the trigger rule ``none_failed``.

    Args:
        group_id: The task group's name.
        job_id: The dbt Cloud job.
        lineage: The file written by ``write_lineage``.
        select: Nodes with a task: ``tag:daily``, ``folder:marts``, or a name in which ``*`` is a
            wildcard. All, if it is empty.
        exclude: Nodes without a task, in the same form.
        types: The kinds of nodes: ``model``, ``seed`` and ``snapshot``.
        tests_as_tasks: Whether tests have their own tasks. By default they belong to their node's
            task, so that a failed test holds back the node's children and asset.
        namespace: The warehouse's name in OpenLineage, such as ``snowflake://account``. If set,
            each built node publishes its asset, for which its task needs a worker.
        job: Arguments of ``DbtCloudRunJobExactlyOnceOperator``, such as ``check_interval``.
    """
    found = good_lineage(Path(lineage))
    with TaskGroup(group_id, tooltip="Models of a dbt Cloud job") as group:
        refuse_mapped(group)
        chosen = chosen_nodes(found, select, exclude, types, tests_as_tasks)
        add_tasks(found, chosen, namespace, {"job_id": job_id, **job})
    return group


def good_lineage(path: Path) -> Lineage:
    found = read_lineage(path)
    if found.problem:
        raise ValueError(found.problem)
    return found


def refuse_mapped(group: TaskGroup) -> None:
    """Raise ``ValueError`` if the group is mapped, since its tasks find each other by their ids."""
    for mapped in group.iter_mapped_task_groups():
        raise ValueError(
            f"dbt_cloud_models cannot be mapped, as in the task group {mapped.group_id}: call it "
            "in a loop instead, with a different group_id for each value."
        )


def add_tasks(
    lineage: Lineage,
    chosen: dict[str, list[LineageNode]],
    namespace: str,
    job: dict[str, Any],
) -> None:
    run_job = DbtCloudStartJobOperator(task_id=RUN_JOB, **job)
    nodes = Nodes(lineage, chosen, run_job, assets_in(lineage, namespace))
    # Its failures are final. But Airflow counts a failed try if the run finishes so soon that the
    # task resumes before its first process has ended.
    about: dict[str, Any] = {"job_task_id": run_job.task_id, "namespace": namespace}
    about |= {"retries": 2, **job}
    rest_of_run = DbtCloudRestOfRunOperator(task_id=REST_OF_RUN, **about)
    check_results = DbtCloudCheckResultsOperator(task_id=CHECK_RESULTS, **about)
    run_job >> rest_of_run
    [rest_of_run, *nodes.make()] >> check_results


def chosen_nodes(
    lineage: Lineage,
    select: Iterable[str],
    exclude: Iterable[str],
    types: Iterable[str],
    tests_as_tasks: bool,
) -> dict[str, list[LineageNode]]:
    """Return unique id of each node with a task → the tests that belong to that task."""
    selected = lineage.select(select, exclude)
    kinds = {*types, *(("test",) if tests_as_tasks else ())}
    chosen: dict[str, list[LineageNode]] = {
        key: [] for key, node in lineage.nodes.items() if key in selected and node.type in kinds
    }
    depth = {key: place for place, key in enumerate(lineage.nodes)}
    for key, node in lineage.nodes.items():
        if node.type in TESTS and key not in chosen:
            tested = [parent for parent in node.parents if parent in chosen]
            if tested and len(tested) == len(node.parents):
                chosen[max(tested, key=depth.__getitem__)].append(node)
    return chosen


@dataclass
class Nodes:
    """Creates the tasks, in groups by folder."""

    lineage: Lineage
    chosen: dict[str, list[LineageNode]]
    run_job: DbtCloudStartJobOperator
    assets: dict[str, Asset]

    @cached_property
    def inlets(self) -> dict[str, set[str]]:
        return self.lineage.parents_among(self.assets)

    @property
    def labels(self) -> dict[str, str]:
        """Return unique id → label of the nodes with a task; empty for a label of several nodes."""
        times = Counter(node.label for node in self.lineage.nodes.values())
        tests = (test.unique_id for tests in self.chosen.values() for test in tests)
        nodes = (self.lineage.nodes[unique_id] for unique_id in [*self.chosen, *tests])
        return {one.unique_id: one.label if times[one.label] == 1 else "" for one in nodes}

    def make(self) -> list[DbtCloudNodeOperator]:
        """Create the tasks, and return those without downstream tasks."""
        labels, tasks = self.labels, dict[str, DbtCloudNodeOperator]()
        root: Any = self.run_job.task_group
        nodes = [self.lineage.nodes[unique_id] for unique_id in self.chosen]
        room = LONGEST_ID - len(root.child_id(""))
        paths = paths_of({node.folder for node in nodes}, RESERVED, room)
        names = names_of(nodes, paths, RESERVED, room)
        groups: dict[Groups, Any] = {(): root}
        for node in sorted(nodes, key=lambda node: node.folder):
            group = group_of(paths[node.folder], groups)
            name = names[node.unique_id]
            tasks[node.unique_id] = self._task(node.unique_id, name, group, labels)
        parents = self.lineage.parents_among(tasks)
        for unique_id, task in tasks.items():
            task.set_upstream([tasks[one] for one in sorted(parents[unique_id])] or [self.run_job])
        return [task for task in tasks.values() if not task.downstream_task_ids]

    def _task(
        self, unique_id: str, name: str, group: Any, labels: dict[str, str]
    ) -> DbtCloudNodeOperator:
        asset = self.assets.get(unique_id)
        tests = [test.unique_id for test in self.chosen[unique_id]]
        parents = self.inlets[unique_id] if asset else set()
        return DbtCloudNodeOperator(
            task_id=name,
            task_group=group,
            run_job=self.run_job,
            nodes={one: labels[one] for one in (unique_id, *tests)},
            folder=self.lineage.nodes[unique_id].folder,
            asset=asset,
            inlets=[self.assets[one] for one in sorted(parents)],
            outlets=[asset] if asset else [],
        )


def group_of(path: Groups, groups: dict[Groups, Any]) -> Any:
    """Return the task group of a path; create it and its parents if needed."""
    if path not in groups:
        groups[path] = TaskGroup(path[-1], parent_group=group_of(path[:-1], groups))
    return groups[path]

"""A dbt Cloud job as a task group: the job's run, and a task for each node of the project."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any

from airflow.sdk import Asset, TaskGroup

from ..artifacts import BUILT, TESTS
from .assets import assets_in
from .lineage import Lineage, LineageNode, read_lineage
from .operators import (
    DbtCloudNodeOperator,
    DbtCloudRestOfRunOperator,
    DbtCloudStartJobOperator,
)

LONGEST_NAME = 120  # of a task; Airflow takes 250 characters with the names of its groups
RUN_JOB, REST_OF_RUN = "run_job", "rest_of_run"


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
    """Makes the task group; to be called inside a Dag.

    Args:
        group_id: The task group's name.
        job_id: The dbt Cloud job.
        lineage: The file that ``write_lineage`` has written.
        select: Which nodes get a task: ``tag:daily``, ``folder:marts``, or a name in which *
            stands for anything. All, if it is empty.
        exclude: The same, for those that get none.
        types: Of what kind the nodes are, of ``model``, ``seed`` and ``snapshot``.
        tests_as_tasks: A test belongs to the task of the node that it tests, so that a test that
            fails holds back what follows, and the node's asset. True gives it a task of its own.
        namespace: The warehouse's name in OpenLineage, such as ``snowflake://account``. Each
            node that was built then publishes its asset, for which its task needs a worker.
        job: What ``DbtCloudRunJobExactlyOnceOperator`` takes, such as ``check_interval``.
    """
    found = read_lineage(Path(lineage))
    with TaskGroup(group_id, tooltip=found.problem or "Models of a dbt Cloud job") as group:
        chosen = chosen_nodes(found, select, exclude, types, tests_as_tasks)
        add_tasks(found, chosen, assets_in(found, namespace), {"job_id": job_id, **job})
    return group


def add_tasks(
    lineage: Lineage,
    chosen: dict[str, list[LineageNode]],
    assets: dict[str, Asset],
    job: dict[str, Any],
) -> None:
    run_job = DbtCloudStartJobOperator(task_id=RUN_JOB, problem=lineage.problem, **job)
    nodes = Nodes(lineage, chosen, run_job, assets)
    # What fails in it fails for good. But Airflow counts a failed try if the run ends so soon that
    # the task is resumed before its first process has ended.
    rest = {"retries": 2, **job}
    rest_of_run = DbtCloudRestOfRunOperator(
        task_id=REST_OF_RUN, job_task_id=run_job.task_id, labels=nodes.labels, **rest
    )
    nodes.make()
    run_job >> rest_of_run


def chosen_nodes(
    lineage: Lineage,
    select: Iterable[str],
    exclude: Iterable[str],
    types: Iterable[str],
    tests_as_tasks: bool,
) -> dict[str, list[LineageNode]]:
    """Unique id of each node with a task → the tests that belong to that task."""
    wanted = lineage.select(select, exclude)
    kinds = {*types, *(("test",) if tests_as_tasks else ())}
    chosen: dict[str, list[LineageNode]] = {
        key: [] for key, node in lineage.nodes.items() if key in wanted and node.type in kinds
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
    """Makes the tasks, in groups by folder."""

    lineage: Lineage
    chosen: dict[str, list[LineageNode]]
    run_job: DbtCloudStartJobOperator
    assets: dict[str, Asset]

    @property
    def labels(self) -> dict[str, str]:
        """Of what has a task; the name that dbt's log gives to several nodes says nothing."""
        times = Counter(node.label for node in self.lineage.nodes.values())
        tests = (test.unique_id for tests in self.chosen.values() for test in tests)
        nodes = (self.lineage.nodes[unique_id] for unique_id in [*self.chosen, *tests])
        return {one.unique_id: one.label if times[one.label] == 1 else "" for one in nodes}

    def make(self) -> None:
        labels, tasks = self.labels, dict[str, DbtCloudNodeOperator]()
        folders: dict[str, list[str]] = defaultdict(list)
        for unique_id in self.chosen:
            folders[self.lineage.nodes[unique_id].folder].append(unique_id)
        names = task_names(self.lineage.nodes[unique_id] for unique_id in self.chosen)
        groups: dict[str, TaskGroup] = {}
        for folder, unique_ids in sorted(folders.items()):
            group = group_of(folder, groups, self.run_job.task_group)
            for unique_id in unique_ids:
                tasks[unique_id] = self._task(unique_id, names[unique_id], group, labels)
        for unique_id, task in tasks.items():
            parents = self.lineage.parents_among(unique_id, tasks)
            task.set_upstream([tasks[one] for one in sorted(parents)] or [self.run_job])

    def _task(
        self, unique_id: str, name: str, group: Any, labels: dict[str, str]
    ) -> DbtCloudNodeOperator:
        asset = self.assets.get(unique_id)
        tests = [test.unique_id for test in self.chosen[unique_id]]
        parents = self.lineage.parents_among(unique_id, self.assets) if asset else set()
        return DbtCloudNodeOperator(
            task_id=name,
            task_group=group,
            run_job=self.run_job,
            nodes={one: labels[one] for one in (unique_id, *tests)},
            asset=asset,
            inlets=[self.assets[one] for one in sorted(parents)],
            outlets=[asset] if asset else [],
        )


def group_of(folder: str, groups: dict[str, TaskGroup], root: Any) -> Any:
    """The task group of a folder, inside those of the folders above it."""
    if not folder:
        return root
    if folder not in groups:
        above, _, name = folder.rpartition("/")
        parent = group_of(above, groups, root)
        groups[folder] = TaskGroup(safe(name), parent_group=parent)
    return groups[folder]


def task_names(nodes: Iterable[LineageNode]) -> dict[str, str]:
    """Unique id → name; the unique id itself where several nodes, or a group, have the name."""
    listed = list(nodes)
    times = Counter(node.name for node in listed)
    folders = {PurePosixPath(node.folder) for node in listed}
    groups = folders.union(*(folder.parents for folder in folders))
    taken = {PurePosixPath(RUN_JOB), PurePosixPath(REST_OF_RUN), *groups}

    def is_free(node: LineageNode) -> bool:
        return times[node.name] == 1 and PurePosixPath(node.folder, node.name) not in taken

    return {node.unique_id: safe(node.name if is_free(node) else node.unique_id) for node in listed}


def safe(name: str) -> str:
    """A name that Airflow takes."""
    name = re.sub(r"[^\w-]", "_", name)
    if len(name) <= LONGEST_NAME:
        return name
    return f"{name[: LONGEST_NAME - 9]}_{sha256(name.encode()).hexdigest()[:8]}"

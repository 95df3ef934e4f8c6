"""The names of a task group's tasks and of the groups for folders, whatever dbt's nodes are called.

Airflow takes letters, digits, ``_`` and ``-``, each name once, and 250 characters for a task's name
with those of its groups. A name depends on the others only where they would be the same.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable
from hashlib import sha256

from .lineage import LineageNode

LONGEST_ID = 250  # of a task, with the names of its groups
LONGEST_NAME = 120  # of a task or a group
LEAST_NAME = 40  # what groups leave of the above for their tasks
HASH = 9  # characters, with what is before it
# Airflow has these in every group.
JOINS = {"upstream_join_id", "downstream_join_id"}

Groups = tuple[str, ...]  # names of groups, outermost first


def clean(name: str) -> str:
    """Return a name in the letters that Airflow takes; an empty one stays empty.

    >>> clean("café com leite")
    'café_com_leite'
    """
    return re.sub(r"[^\w-]", "_", name)


def safe(name: str, longest: int = LONGEST_NAME) -> str:
    name = clean(name)
    return name if len(name) <= longest else with_hash(name, name, longest)


def with_hash(name: str, of: str, longest: int = LONGEST_NAME) -> str:
    """Return the name with what tells it apart, cut to its length."""
    return f"{clean(name)[: longest - HASH]}_{sha256(of.encode()).hexdigest()[: HASH - 1]}"


def paths_of(folders: Iterable[str], reserved: Collection[str], room: int) -> dict[str, Groups]:
    """Return folder → the groups for it and the folders above it.

    Args:
        folders: Parts are separated by ``/``.
        reserved: What else is beside the outermost groups.
        room: Characters for a task's name with those of its groups.
    """
    parts = {folder: tuple(filter(None, folder.split("/"))) for folder in folders}
    every = {path[:depth] for path in parts.values() for depth in range(1, len(path) + 1)}
    # Names that are the same once they are clean, in one group.
    times = Counter((path[:-1], safe(path[-1])) for path in every)
    names: dict[Groups, str] = {}
    for path in every:
        name = safe(path[-1])
        is_taken = name in JOINS or (len(path) == 1 and name in reserved)
        is_free = times[path[:-1], name] == 1 and not is_taken
        names[path] = name if is_free else with_hash(name, "/".join(path))
    return {
        folder: fitting(tuple(names[path[: depth + 1]] for depth in range(len(path))), path, room)
        for folder, path in parts.items()
    }


def fitting(groups: Groups, folder: Groups, room: int) -> Groups:
    """Return one group instead of many, or none, where they leave too little for a task's name."""
    if length(groups) + LEAST_NAME <= room:
        return groups
    longest = min(LONGEST_NAME, room - LEAST_NAME - 1)
    return (with_hash("_".join(groups), "/".join(folder), longest),) if longest > 2 * HASH else ()


def length(groups: Groups) -> int:
    """Return how many characters of a task's name its groups take."""
    return sum(len(name) + 1 for name in groups)


def names_of(
    nodes: Collection[LineageNode], paths: dict[str, Groups], reserved: Collection[str], room: int
) -> dict[str, str]:
    """Return unique id → name of the task.

    It is the node's, or its unique id where several tasks, or a group, would have that name.
    """
    groups = {path[:depth] for path in paths.values() for depth in range(1, len(path) + 1)}
    taken = groups | {(name,) for name in reserved}
    step = dict.fromkeys((node.unique_id for node in nodes), 0)
    while True:
        names = {
            node.unique_id: candidate(node, step[node.unique_id], room - length(paths[node.folder]))
            for node in nodes
        }
        times = Counter(names.values())
        clashing = [
            node.unique_id
            for node in nodes
            if times[name := names[node.unique_id]] > 1
            or name in JOINS | {""}
            or (*paths[node.folder], name) in taken
        ]
        if not any(step[unique_id] < 2 for unique_id in clashing):
            return names
        for unique_id in clashing:
            step[unique_id] = min(step[unique_id] + 1, 2)


def candidate(node: LineageNode, step: int, room: int) -> str:
    longest = max(min(LONGEST_NAME, room), HASH + 1)
    if step == 0:
        return safe(node.name, longest)
    if step == 1:
        return safe(node.unique_id, longest)
    return with_hash(node.unique_id, node.unique_id, longest)

"""Valid names for tasks and for the groups of folders, from any dbt names.

Airflow allows letters, digits, ``_`` and ``-``, unique names, and 250 characters for a task's id
with its groups. A name depends on the others only if they would be the same.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable
from hashlib import sha256

from .lineage import LineageNode

LONGEST_ID = 250  # of a task, including its groups
LONGEST_NAME = 120  # of a task or a group
LEAST_NAME = 40  # reserved for a task's name within its groups
HASH_LENGTH = 9  # characters, with the underscore before it
# Airflow adds these to every group.
JOINS = {"upstream_join_id", "downstream_join_id"}

Groups = tuple[str, ...]  # names of groups, outermost first


def clean(name: str) -> str:
    """Return a name in characters that Airflow allows; an empty one stays empty.

    >>> clean("café com leite")
    'café_com_leite'
    """
    return re.sub(r"[^\w-]", "_", name)


def safe(name: str, longest: int = LONGEST_NAME) -> str:
    name = clean(name)
    return name if len(name) <= longest else with_hash(name, name, longest)


def with_hash(name: str, of: str, longest: int = LONGEST_NAME) -> str:
    """Return the name, shortened, with a hash that makes it unique."""
    digest = sha256(of.encode()).hexdigest()
    return f"{clean(name)[: longest - HASH_LENGTH]}_{digest[: HASH_LENGTH - 1]}"


def paths_of(folders: Iterable[str], reserved: Collection[str], room: int) -> dict[str, Groups]:
    """Return folder → the groups for it and the folders above it.

    Args:
        folders: Paths with the separator ``/``.
        reserved: Other names at the level of the outermost groups.
        room: The maximum length of a task's name with its groups.
    """
    parts = {folder: tuple(filter(None, folder.split("/"))) for folder in folders}
    every = {path[:depth] for path in parts.values() for depth in range(1, len(path) + 1)}
    # Names that clash within a group after cleaning.
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
    """Return the groups, or one or none instead if they leave too little for a task's name."""
    if length(groups) + LEAST_NAME <= room:
        return groups
    longest = min(LONGEST_NAME, room - LEAST_NAME - 1)
    if longest <= 2 * HASH_LENGTH:
        return ()
    return (with_hash("_".join(groups), "/".join(folder), longest),)


def length(groups: Groups) -> int:
    """Return the number of characters that groups add to a task's id."""
    return sum(len(name) + 1 for name in groups)


def names_of(
    nodes: Collection[LineageNode], paths: dict[str, Groups], reserved: Collection[str], room: int
) -> dict[str, str]:
    """Return unique id → name of the task.

    It is the node's name, or its unique id if several tasks, or a group, would have that name.
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
    longest = max(min(LONGEST_NAME, room), HASH_LENGTH + 1)
    if step == 0:
        return safe(node.name, longest)
    if step == 1:
        return safe(node.unique_id, longest)
    return with_hash(node.unique_id, node.unique_id, longest)

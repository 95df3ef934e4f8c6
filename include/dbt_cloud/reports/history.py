"""What finished runs came to, one small file per run: for the page, and for who wants to count.

``FOLDER/JOB_ID/RUN_ID.json`` has the run without its steps, and of each node its status and
seconds; its message only where it says what went wrong. A node takes about 110 bytes. ``FOLDER``
belongs to one account.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any, TypeVar
from uuid import uuid4

from fsspec.utils import tokenize

from ..api.artifacts import Node
from ..api.loose_json import identifier
from ..run.failures import shortened
from .results import Results

VERSION = 1
RUNS = 200  # that are kept of each job
PARSED = 500  # runs that a reader has in memory with their nodes
HEADS = 20_000  # and without
KEPT = (
    "id",
    "job_definition_id",
    "project_id",
    "environment_id",
    "status",
    "status_humanized",
    "status_message",
    "created_at",
    "started_at",
    "finished_at",
    "href",
    "git_sha",
    "artifacts_saved",
    "has_docs_generated",
)
T = TypeVar("T")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class History:
    """The kept runs of one account; ``folder``, an ObjectStoragePath, is that account's."""

    folder: Any

    def keep(self, results: Results) -> bool:
        """Write the run's file, and delete those of the job's oldest runs.

        Return False, and change nothing, if the ``RUNS`` runs that are kept of the job are newer.
        """
        run = kept_run(results.run)
        newer = [one for one in self.runs(run["job_definition_id"]) if one > run["id"]]
        if len(newer) >= RUNS:
            return False
        content = {"version": VERSION, "run": run, "nodes": [slim(node) for node in results.nodes]}
        job = self.folder / str(run["job_definition_id"])
        write(job / f"{run['id']}.json", json.dumps(content, separators=(",", ":")))
        for run_id in self.runs(run["job_definition_id"])[RUNS:]:
            delete(job / f"{run_id}.json")
        return True

    def jobs(self) -> list[int]:
        return numbers_in(self.folder, "")

    def runs(self, job_id: int) -> list[int]:
        """Newest first."""
        return numbers_in(self.folder / str(job_id), ".json")

    def results(self, job_id: int, most: int = RUNS) -> list[Results]:
        """Newest first; without those whose files cannot be read, which the log names."""
        return self._read(job_id, most, parsed)

    def heads(self, job_id: int, most: int) -> list[dict[str, Any]]:
        """The same without their nodes, for who looks at many jobs."""
        return self._read(job_id, most, head)

    def _read(self, job_id: int, most: int, how: Callable[[Any, str], T]) -> list[T]:
        job = self.folder / str(job_id)
        listed = list(versions_in(job, ".json").items())[:most]
        files = ((job / f"{run_id}.json", version) for run_id, version in listed)
        return [found for file, version in files if (found := read(file, version, how))]


def kept_run(run: dict[str, Any]) -> dict[str, Any]:
    """Of what dbt Cloud answers, with its job and trigger, what is kept."""
    job, trigger = run.get("job") or {}, run.get("trigger") or {}
    return {name: run.get(name) for name in KEPT} | {
        "job": {"name": job.get("name") or ""},
        "trigger": {"cause": trigger.get("cause") or ""},
    }


def slim(node: Node) -> dict[str, Any]:
    entry = {"unique_id": node.unique_id, "status": node.status, "seconds": round(node.seconds, 2)}
    told = {"message": shortened(node.message)} if node.is_trouble else {}
    return entry | told | {"step": node.step}


def write(file: Any, text: str) -> None:
    """The whole file or none: whoever reads meanwhile sees the one before."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.parent / f".{file.name}.{uuid4().hex}.part"  # another process may write the same
    try:
        part.write_bytes(text.encode(errors="replace"))
        part.replace(file)
    except BaseException:
        with suppress(OSError):
            delete(part)
        raise


def delete(file: Any) -> None:
    """Another process may have deleted it, even between a look and this."""
    with suppress(FileNotFoundError):
        file.unlink(missing_ok=True)


def numbers_in(folder: Any, suffix: str) -> list[int]:
    """Of the files ``NUMBER.suffix`` in a folder that need not be there: highest first."""
    return list(versions_in(folder, suffix))


def versions_in(folder: Any, suffix: str) -> dict[int, str]:
    """Return number → what changes whenever the file ``NUMBER.suffix`` does; highest first.

    Object stores list from memory what they have listed before, and other processes write here.
    """
    folder.fs.invalidate_cache(folder.path)
    try:
        listed = folder.fs.ls(folder.path, detail=True)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    names = {PurePosixPath(file["name"]).name.removesuffix(suffix): file for file in listed}
    numbers = sorted((int(name) for name in names if is_number(name)), reverse=True)
    return {number: tokenize(names[str(number)]) for number in numbers}


def is_number(name: str) -> bool:
    """Whether it is how this project writes a number: without other digits, signs or zeros."""
    return name.isdecimal() and str(int(name)) == name


def read(file: Any, version: str, how: Callable[[Any, str], T]) -> T | None:
    try:
        return how(file, version)
    except Exception as error:  # whatever is wrong with one file, the others are shown
        log.warning("The kept run %s cannot be read (%r): delete it.", file, error)
        return None


@lru_cache(maxsize=PARSED)
def parsed(file: Any, _version: str) -> Results:
    """Its version is one of what is remembered, so that a run kept again is read again."""
    content = json.loads(file.read_text())
    if content["version"] != VERSION:
        raise ValueError(f"it is of version {content['version']}")
    run, nodes = content["run"], content["nodes"]
    numbers = (run["id"], run["job_definition_id"])
    if not all(map(identifier, numbers)) or not isinstance(nodes, list):
        raise ValueError("it is no run with its nodes")
    return Results(run, [node_of(entry) for entry in nodes])


def node_of(entry: dict[str, Any]) -> Node:
    """The opposite of ``slim``; raises an error for what that does not write."""
    node = Node(**{"message": "", **entry})
    texts = (node.unique_id, node.status, node.message)
    is_good = all(isinstance(text, str) for text in texts) and isinstance(node.step, int)
    if not is_good or not math.isfinite(node.seconds):
        raise ValueError(f"{entry} is no node")
    return node


@lru_cache(maxsize=HEADS)
def head(file: Any, version: str) -> dict[str, Any]:
    return parsed(file, version).run

"""What finished runs came to, one small file per run: for the page, and for who wants to count.

``FOLDER/JOB_ID/RUN_ID.json`` has the run without its steps, and of each node its status and
seconds; its message only where it says what went wrong. A node takes about 110 bytes.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any, TypeVar

from ..artifacts import FAILED, Node
from ..failures import shortened
from .results import Results

VERSION = 1
RUNS = 200  # that are kept of each job
PARSED = 500  # runs that a reader has in memory with their nodes
HEADS = 20_000  # and without
TOLD = {*FAILED, "warn"}  # statuses whose message is kept
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
)
T = TypeVar("T")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class History:
    """The kept runs below a folder, an ObjectStoragePath."""

    folder: Any

    def keep(self, results: Results) -> None:
        """Writes the run's file, and deletes those of the job's oldest runs."""
        run = kept_run(results.run)
        content = {"version": VERSION, "run": run, "nodes": [slim(node) for node in results.nodes]}
        job = self.folder / str(run["job_definition_id"])
        write(job / f"{run['id']}.json", json.dumps(content, separators=(",", ":")))
        for run_id in self.runs(run["job_definition_id"])[RUNS:]:
            (job / f"{run_id}.json").unlink(missing_ok=True)

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

    def _read(self, job_id: int, most: int, how: Callable[[Any], T]) -> list[T]:
        job = self.folder / str(job_id)
        files = (job / f"{run_id}.json" for run_id in self.runs(job_id)[:most])
        return [found for file in files if (found := read(file, how))]


def kept_run(run: dict[str, Any]) -> dict[str, Any]:
    """Of what dbt Cloud answers, with its job and trigger, what is kept."""
    job, trigger = run.get("job") or {}, run.get("trigger") or {}
    return {name: run.get(name) for name in KEPT} | {
        "job": {"name": job.get("name") or ""},
        "trigger": {"cause": trigger.get("cause") or ""},
    }


def slim(node: Node) -> dict[str, Any]:
    entry = {"unique_id": node.unique_id, "status": node.status, "seconds": round(node.seconds, 2)}
    told = {"message": shortened(node.message)} if node.status in TOLD else {}
    return entry | told | {"step": node.step}


def write(file: Any, text: str) -> None:
    """The whole file or none: whoever reads meanwhile sees the one before."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.parent / f".{file.name}.part"
    part.write_text(text)
    part.replace(file)


def numbers_in(folder: Any, suffix: str) -> list[int]:
    """Of the files ``NUMBER.suffix`` in a folder that need not be there: highest first.

    Object stores list from memory what they have listed before, and other processes write here.
    """
    folder.fs.invalidate_cache(folder.path)
    try:
        files = folder.fs.ls(folder.path, detail=False)
    except (FileNotFoundError, NotADirectoryError):
        return []
    names = (PurePosixPath(file).name.removesuffix(suffix) for file in files)
    return sorted((int(name) for name in names if name.isdecimal()), reverse=True)


def read(file: Any, how: Callable[[Any], T]) -> T | None:
    try:
        return how(file)
    except (OSError, ValueError, KeyError, TypeError) as error:
        log.warning("The kept run %s cannot be read (%r): delete it.", file, error)
        return None


@lru_cache(maxsize=PARSED)
def parsed(file: Any) -> Results:
    content = json.loads(file.read_text())
    if content["version"] != VERSION:
        raise ValueError(f"it is of version {content['version']}")
    nodes = [Node(**{"message": "", **node}) for node in content["nodes"]]
    return Results(content["run"], nodes)


@lru_cache(maxsize=HEADS)
def head(file: Any) -> dict[str, Any]:
    return parsed(file).run

"""Store the results of finished runs, one small file per run, for the page and for analysis.

``FOLDER/JOB_ID/RUN_ID.json`` has the run without its steps, and each node's status, seconds, and
message of a failure or warning. A node takes about 110 bytes, and 30 in the run's timeline.
``FOLDER`` belongs to one account.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar
from uuid import uuid4

import msgspec
from fsspec.utils import tokenize

from .results import Results
from .stored_run import StoredRun, decoded, encoded
from .timeline import Timeline

RUNS_PER_JOB = 200  # stored
PARSED = 500  # runs cached with their nodes
HEADS = 20_000  # runs cached without
TIMELINES = 20  # runs cached with their timelines
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
    """The stored runs of one account; ``folder``, an ObjectStoragePath, is that account's."""

    folder: Any

    def keep(self, results: Results, timeline: dict[str, Any] | None = None) -> bool:
        """Write the run's file, and delete those of the job's oldest runs.

        ``timeline`` is the result of ``stored_timeline``.

        Return False, and change nothing, if ``RUNS_PER_JOB`` newer runs are stored.
        """
        run = kept_run(results.run)
        newer = [one for one in self.runs(run["job_definition_id"]) if one > run["id"]]
        if len(newer) >= RUNS_PER_JOB:
            return False
        job = self.folder / str(run["job_definition_id"])
        write(job / f"{run['id']}.json", encoded(run, results.nodes, timeline))
        for run_id in self.runs(run["job_definition_id"])[RUNS_PER_JOB:]:
            delete(job / f"{run_id}.json")
        return True

    def jobs(self) -> list[int]:
        return numbers_in(self.folder, "")

    def runs(self, job_id: int) -> list[int]:
        """Return run ids, newest first."""
        return numbers_in(self.folder / str(job_id), ".json")

    def find(self, run_id: int) -> dict[str, Any] | None:
        """Return the run of any job, without nodes; None if it is not stored, or is damaged."""
        for job_id in self.jobs():
            job = self.folder / str(job_id)
            if version := versions_in(job, ".json").get(run_id):
                return read(job, run_id, version, head)
        return None

    def results(self, job_id: int, most: int = RUNS_PER_JOB) -> list[Results]:
        """Return results, newest first; log and skip unreadable files."""
        return list(self.read_each(job_id, most, parsed))

    def timeline(self, job_id: int, run_id: int) -> tuple[Results, Timeline | None] | None:
        """Return a run's results and timeline; None if it is not stored, or is damaged.

        The timeline is None in files of earlier versions.
        """
        job = self.folder / str(job_id)
        version = versions_in(job, ".json").get(run_id)
        return read(job, run_id, version, with_timeline) if version else None

    def heads(self, job_id: int, most: int) -> list[dict[str, Any]]:
        """Return the same without nodes, for views of many jobs."""
        return list(self.read_each(job_id, most, head))

    def read_each(
        self, job_id: int, most: int, how: Callable[[Any, int, str], T | None]
    ) -> Iterator[T]:
        """Yield what ``how`` reads by folder, run and version of each file, newest run first.

        A run of which it returns None is left out; unreadable files are logged and left out.
        """
        job = self.folder / str(job_id)
        for run_id, version in versions_in(job, ".json", most).items():
            if found := read(job, run_id, version, how):
                yield found


def kept_run(run: dict[str, Any]) -> dict[str, Any]:
    """Return the stored fields of a run with its job and trigger."""
    job, trigger = run.get("job") or {}, run.get("trigger") or {}
    return {name: run.get(name) for name in KEPT} | {
        "job": {"name": job.get("name") or ""},
        "trigger": {name: trigger.get(name) or "" for name in ("cause", "cause_category")},
    }


def write(file: Any, text: str) -> None:
    """Write a file atomically: concurrent readers see the previous one."""
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
    """Delete a file, which another process may delete at the same time."""
    with suppress(FileNotFoundError):
        file.unlink(missing_ok=True)


def numbers_in(folder: Any, suffix: str) -> list[int]:
    """Return the numbers of the files ``NUMBER.suffix``, highest first; empty without a folder."""
    return list(versions_in(folder, suffix))


def versions_in(folder: Any, suffix: str, most: int | None = None) -> dict[int, str]:
    """Return number → version of the file ``NUMBER.suffix``, the ``most`` highest first.

    Object stores cache listings, and other processes write here, so the cache is cleared first.
    """
    folder.fs.invalidate_cache(folder.path)
    try:
        listed = folder.fs.ls(folder.path, detail=True)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    names = {file["name"].rpartition("/")[2].removesuffix(suffix): file for file in listed}
    numbers = sorted((int(name) for name in names if is_number(name)), reverse=True)
    return {number: tokenize(names[str(number)]) for number in numbers[:most]}


def is_number(name: str) -> bool:
    """Return whether the name is a canonical decimal number."""
    return name.isdecimal() and str(int(name)) == name


def read(job: Any, run_id: int, version: str, how: Callable[[Any, int, str], T | None]) -> T | None:
    try:
        return how(job, run_id, version)
    except Exception as error:  # a damaged file does not affect the others
        file = job / f"{run_id}.json"
        log.warning("Could not read the stored run %s (%r): delete it.", file, error)
        return None


def content_of(job: Any, run_id: int) -> StoredRun:
    return decoded((job / f"{run_id}.json").read_bytes())


@lru_cache(maxsize=PARSED)
def parsed(job: Any, run_id: int, _version: str) -> Results:
    """Return the results in the job's folder; the version is part of the cache's key."""
    stored = content_of(job, run_id)
    return Results(stored.run, stored.nodes)


@lru_cache(maxsize=TIMELINES)
def with_timeline(job: Any, run_id: int, _version: str) -> tuple[Results, Timeline | None]:
    stored = content_of(job, run_id)
    results, timeline = Results(stored.run, stored.nodes), msgspec.json.decode(stored.timeline)
    return results, None if timeline is None else Timeline.read(timeline, results.nodes)


@lru_cache(maxsize=HEADS)
def head(job: Any, run_id: int, _version: str) -> dict[str, Any]:
    return content_of(job, run_id).run

"""The events of a step's models, tests and snapshots, by OpenLineage's own reader of artifacts.

That reader gives each event a random run id, and tests the current time. It reads no results of
``dbt retry``, counts skipped tests as failed, and knows neither seeds nor snapshots as parents.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from openlineage.client.constants import DEFAULT_PRODUCER as PRODUCER
from openlineage.client.event_v2 import RunEvent, RunState
from openlineage.client.uuid import generate_static_uuid
from openlineage.common.provider.dbt import DbtCloudArtifactProcessor
from openlineage.common.provider.dbt.facets import ParentRunMetadata

from ..api.artifacts import command_run_by, invocation_of
from ..api.commands import verb_of
from ..api.loose_json import record, records, text

NOT_RUN = {"skipped", "reused", "no-op"}
TESTABLE = ("model.", "source.", "seed.")
RETRY = "retry"
Times = tuple[str, str]
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Step:
    """A step's artifacts; ``project`` is the dbt Cloud project with its connection."""

    account_id: int
    project: dict[str, Any]
    command: str
    manifest: dict[str, Any]
    run_results: dict[str, Any]
    catalog: dict[str, Any] | None

    @property
    def verb(self) -> str:
        """Return the command that decides the jobs' names; a retry has those of its original."""
        ran = command_run_by(self.run_results, self.command)
        written = verb_of(self.command)
        return ran if ran != RETRY else written if written != RETRY else "build"


class Processor(DbtCloudArtifactProcessor):  # type: ignore[misc]  # it ships no types
    """OpenLineage's reader, with an optional namespace of all datasets."""

    def __init__(self, namespace: str, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.namespace = namespace.rstrip("/")

    def extract_namespace(self, profile: dict[str, Any]) -> str:
        return self.namespace or str(super().extract_namespace(profile))


def events_of_step(step: Step, parent: ParentRunMetadata, namespace: str) -> list[RunEvent]:
    """Return the events of the step's nodes below ``parent``; log a step that cannot be read."""
    manifest = with_seeds_and_snapshots(step.manifest)
    results = [with_times(one, step.run_results) for one in results_of(step, manifest)]
    processor = Processor(
        namespace=namespace,
        producer=PRODUCER,
        job_namespace=parent.job_namespace,
        logger=log,
        manifest=with_warnings(manifest, results),
        run_result={**step.run_results, "args": args_of(step), "results": results},
        profile=connection_of(step),
        catalog=step.catalog,
        project_name=step.project.get("name"),
        account_id=str(step.account_id),
    )
    processor.dbt_run_metadata = parent
    try:
        events: list[RunEvent] = processor.parse().events()
    except (KeyError, NotImplementedError, ValueError) as error:
        log.warning("No OpenLineage events of the nodes of `%s`: %r.", step.command, error)
        return []
    times = times_of(manifest, results)
    for event in events:
        complete(event, times, f"{parent.run_id}/{invocation_of(step.run_results)}")
    return events


def complete(event: RunEvent, times: dict[tuple[bool, str], Times], scope: str) -> None:
    """Give an event dbt's time, and its run an id that is always the same within ``scope``."""
    facets: dict[str, Any] = event.job.facets or {}
    key = (facets["jobType"].jobType == "TEST", facets["dbt_node"].unique_id)
    started, ended = times[key]
    event.eventTime = started if event.eventType == RunState.START else ended
    event.run.runId = str(
        generate_static_uuid(datetime.fromisoformat(started), f"{scope}/{event.job.name}".encode())
    )


def results_of(step: Step, manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the results of nodes that ran, with the statuses that the reader accepts."""
    found = []
    for result in records(step.run_results.get("results")):
        unique_id, status = text(result.get("unique_id")), result.get("status")
        if unique_id not in manifest["nodes"] or status in NOT_RUN:
            continue
        is_test = unique_id.startswith("test.")
        found.append({**result, "status": status if is_test or status == "success" else "error"})
    return found


def with_times(result: dict[str, Any], run_results: dict[str, Any]) -> dict[str, Any]:
    """Return the result with a time, also if it failed before it was executed."""
    timing = [one for one in records(result.get("timing")) if one.get("completed_at")]
    if any(one.get("name") == "execute" for one in timing):
        return {**result, "timing": timing}
    at = timing[-1]["completed_at"] if timing else run_results["metadata"]["generated_at"]
    return {**result, "timing": [{"name": "execute", "started_at": at, "completed_at": at}]}


def with_seeds_and_snapshots(manifest: dict[str, Any]) -> dict[str, Any]:
    """Return the manifest with seeds and snapshots as models too, the only parents that are read.

    No model has such an id, since the names of a package's models, seeds and snapshots differ.
    """
    nodes = record(manifest.get("nodes"))
    others = {
        one: f"model.{one.partition('.')[2]}"
        for one in nodes
        if one.startswith(("seed.", "snapshot."))
    }
    parents = {
        child: [others.get(one, one) for one in parents]
        for child, parents in record(manifest.get("parent_map")).items()
    }
    also = {alias: nodes[one] for one, alias in others.items()}
    sources = record(manifest.get("sources"))
    return {**manifest, "nodes": {**nodes, **also}, "sources": sources, "parent_map": parents}


def with_warnings(manifest: dict[str, Any], results: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the manifest with the severity ``warn`` for tests that warned; they fail nothing."""
    nodes = dict(manifest["nodes"])
    for result in results:
        if result["status"] == "warn":
            node = nodes[result["unique_id"]]
            config = {**record(node.get("config")), "severity": "warn"}
            nodes[result["unique_id"]] = {**node, "config": config}
    return {**manifest, "nodes": nodes}


def times_of(
    manifest: dict[str, Any], results: Iterable[dict[str, Any]]
) -> dict[tuple[bool, str], Times]:
    """Return whether it is a test, and unique id → start and end.

    The tests of a model share a job, which lasts from the first one's start to the last one's end.
    """
    nodes = {**manifest["nodes"], **manifest["sources"]}
    found: dict[tuple[bool, str], Times] = {}
    for result in results:
        (executed,) = (one for one in result["timing"] if one["name"] == "execute")
        start, end = executed["started_at"], executed["completed_at"]
        unique_id = result["unique_id"]
        is_test = unique_id.startswith("test.")
        found[is_test, unique_id] = start, end
        tested = [one for one in manifest["parent_map"].get(unique_id, ()) if one in nodes]
        tested = [one for one in tested if is_test and one.startswith(TESTABLE)]
        if tested:
            key = (True, nodes[tested[-1]]["unique_id"])
            first, last = found.get(key, (start, end))
            found[key] = min(first, start), max(last, end)
    return found


def args_of(step: Step) -> dict[str, Any]:
    return {**record(step.run_results.get("args")), "which": step.verb}


def connection_of(step: Step) -> dict[str, Any]:
    """Return the project's connection; without one, only the kind of warehouse is known."""
    kind = record(step.manifest.get("metadata")).get("adapter_type") or "unknown"
    return record(step.project.get("connection")) or {"name": kind, "type": kind, "details": {}}

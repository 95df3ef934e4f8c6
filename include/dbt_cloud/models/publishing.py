"""The assets of what a finished run has built, whoever started it.

The same assets and the same words as a task per model publishes while the run goes on.
"""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudHook
from airflow.sdk import Asset

from ..airflow.compat import InletEventsAccessor
from ..api.artifacts import BUILT, TESTS, Node, every_node, has_failed, read_artifact
from ..api.client import DbtCloudClient
from ..api.loose_json import record
from ..run.recovery import PULL_REQUEST_IDS
from .assets import asset_of, extra_of

# "warehouse"."analytics"."orders", `project`.`dataset`.`orders`, [db].[dbo].[orders], DB.SCHEMA.T
PART = re.compile(r'"([^"]+)"|`([^`]+)`|\[([^\]]+)\]|([^."`\[\]]+)')
# In a run's trigger: it has built for a check, or for somebody alone.
ELSEWHERE = (*PULL_REQUEST_IDS, "schema_override", "target_name_override")
log = logging.getLogger(__name__)


def events_of(
    runs: Iterable[tuple[dict[str, Any], list[Node]]],
    namespace: str,
    dbt_cloud_conn_id: str = DbtCloudHook.default_conn_name,
    account_id: int | None = None,
) -> Iterator[tuple[Asset, dict[str, Any]]]:
    """Asset and extra of each model, seed and snapshot that the runs have built, oldest run first.

    One event of each, of the last run that has built it. None for what failed, was skipped or
    reused, nor for what a failed test is about, nor a second one where a task of that model has
    sent it. Runs for pull requests, or into another schema, have none. ``runs`` come with trigger.
    """
    client = DbtCloudClient(DbtCloudHook(dbt_cloud_conn_id), account_id)
    for asset, extra, run in news_in(client, runs, namespace):
        if not is_told(asset, run):
            yield asset, extra


def news_in(
    client: DbtCloudClient, runs: Iterable[tuple[dict[str, Any], list[Node]]], namespace: str
) -> Iterator[tuple[Asset, dict[str, Any], dict[str, Any]]]:
    """Asset, extra and run."""
    events: dict[str, tuple[Asset, dict[str, Any], dict[str, Any]]] = {}
    for run, nodes in runs:
        if any((run.get("trigger") or {}).get(name) for name in ELSEWHERE):
            log.info("Run %s has built elsewhere: its models are no news.", run["id"])
            continue
        last = {node.unique_id: node for node in nodes}
        tests = troubles(client, run["id"], last)
        for node in filter(is_built, last.values()):
            if not any(has_failed(test["status"]) for test in tests[node.unique_id]):
                asset = asset_of(plain(node.relation), namespace)
                extra = extra_of(told(node, run) | {"tests": tests[node.unique_id]})
                events[asset.uri] = (asset, extra, run)
    yield from events.values()


def is_built(node: Node) -> bool:
    return node.kind in BUILT and node.status == "success" and bool(node.relation)


def troubles(
    client: DbtCloudClient, run_id: int, nodes: dict[str, Node]
) -> dict[str, list[dict[str, str]]]:
    """Node → its tests that have not passed; only then the manifest is read, which can be big."""
    found: dict[str, list[dict[str, str]]] = defaultdict(list)
    for test in nodes.values():
        if test.kind not in TESTS or not test.is_trouble:
            continue
        manifest = read_artifact(client, run_id, "manifest.json", test.step) or {}
        depends_on = record(record(every_node(manifest).get(test.unique_id)).get("depends_on"))
        for parent in depends_on.get("nodes") or ():
            found[parent].append({"unique_id": test.unique_id, "status": test.status})
    return found


def told(node: Node, run: dict[str, Any]) -> dict[str, Any]:
    entry = {
        "unique_id": node.unique_id,
        "status": node.status,
        "seconds": round(node.seconds, 2),
        "run_id": run["id"],
        "run_url": run["href"],
    }
    return entry if node.rows is None else entry | {"rows": node.rows}


def plain(relation: str) -> str:
    """``database.schema.identifier``, without the quotes of whichever warehouse."""
    return ".".join("".join(parts) for parts in PART.findall(relation))


def is_told(asset: Asset, run: dict[str, Any]) -> bool:
    """Whether the asset has an event of this run."""
    events = InletEventsAccessor(asset_name=asset.name, asset_uri=asset.uri)
    return any(describes(event.extra or {}, run) for event in events.after(run["created_at"]))


def describes(extra: dict[str, Any], run: dict[str, Any]) -> bool:
    """Whether an event is about the run; runs of two accounts may have the same number."""
    is_same_number = extra.get("run_id") == run["id"]
    return bool(is_same_number and extra.get("run_url", run["href"]) == run["href"])

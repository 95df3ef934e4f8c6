"""Asset events of the models that a finished run built, started by Airflow or not.

Assets and extras are the same as those that a task per model publishes during a run.
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
# In a run's trigger: it built into another schema, or for a pull request.
OTHER_TARGET = (*PULL_REQUEST_IDS, "schema_override", "target_name_override")
log = logging.getLogger(__name__)


def events_of(
    runs: Iterable[tuple[dict[str, Any], list[Node]]],
    namespace: str,
    dbt_cloud_conn_id: str = DbtCloudHook.default_conn_name,
    account_id: int | None = None,
) -> Iterator[tuple[Asset, dict[str, Any]]]:
    """Yield asset and extra of each model, seed and snapshot that the runs built.

    Each node has one event, of the last run that built it. There is none if the node failed, was
    skipped or reused, if one of its tests failed, if its task already published it, or if the run
    was for a pull request or another schema. ``runs`` must include their triggers, oldest first.
    """
    client = DbtCloudClient(DbtCloudHook(dbt_cloud_conn_id), account_id)
    for asset, extra, run in latest_builds(client, runs, namespace):
        if not already_published(asset, run):
            yield asset, extra


def latest_builds(
    client: DbtCloudClient, runs: Iterable[tuple[dict[str, Any], list[Node]]], namespace: str
) -> Iterator[tuple[Asset, dict[str, Any], dict[str, Any]]]:
    """Yield asset, extra and run of each node's latest build."""
    events: dict[str, tuple[Asset, dict[str, Any], dict[str, Any]]] = {}
    for run, nodes in runs:
        if any((run.get("trigger") or {}).get(name) for name in OTHER_TARGET):
            log.info("Run %s built into another schema: no asset events.", run["id"])
            continue
        last = {node.unique_id: node for node in nodes}
        tests = failing_tests(client, run["id"], last)
        for node in filter(is_built, last.values()):
            if not any(has_failed(test["status"]) for test in tests[node.unique_id]):
                asset = asset_of(unquoted(node.relation), namespace)
                extra = extra_of(entry_of(node, run) | {"tests": tests[node.unique_id]})
                events[asset.uri] = (asset, extra, run)
    yield from events.values()


def is_built(node: Node) -> bool:
    return node.kind in BUILT and node.status == "success" and bool(node.relation)


def failing_tests(
    client: DbtCloudClient, run_id: int, nodes: dict[str, Node]
) -> dict[str, list[dict[str, str]]]:
    """Return node → its failed and warned tests; read the big manifest only if there are any."""
    found: dict[str, list[dict[str, str]]] = defaultdict(list)
    for test in nodes.values():
        if test.kind not in TESTS or not test.has_failed_or_warned:
            continue
        manifest = read_artifact(client, run_id, "manifest.json", test.step) or {}
        depends_on = record(record(every_node(manifest).get(test.unique_id)).get("depends_on"))
        for parent in depends_on.get("nodes") or ():
            found[parent].append({"unique_id": test.unique_id, "status": test.status})
    return found


def entry_of(node: Node, run: dict[str, Any]) -> dict[str, Any]:
    entry = {
        "unique_id": node.unique_id,
        "status": node.status,
        "seconds": round(node.seconds, 2),
        "run_id": run["id"],
        "run_url": run["href"],
    }
    return entry if node.rows is None else entry | {"rows": node.rows}


def unquoted(relation: str) -> str:
    """Return ``database.schema.identifier`` without the warehouse's quotes."""
    return ".".join("".join(parts) for parts in PART.findall(relation))


def already_published(asset: Asset, run: dict[str, Any]) -> bool:
    """Return whether the asset has an event of this run."""
    events = InletEventsAccessor(asset_name=asset.name, asset_uri=asset.uri)
    return any(describes(event.extra or {}, run) for event in events.after(run["created_at"]))


def describes(extra: dict[str, Any], run: dict[str, Any]) -> bool:
    """Return whether an event is about the run; two accounts can have runs with the same id."""
    is_same_id = extra.get("run_id") == run["id"]
    return bool(is_same_id and extra.get("run_url", run["href"]) == run["href"])

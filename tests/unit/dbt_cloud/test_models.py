"""Compares the scripted dbt Cloud with the local one, in the fields that a task group reads."""

from __future__ import annotations

import json
from contextlib import nullcontext
from typing import Any
from uuid import uuid4

import pytest
from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudHook

from include.dbt_cloud.api.client import DbtCloudClient
from include.dbt_cloud.models.following import poll_in_worker
from include.dbt_cloud.models.progress import RunProgress
from tests.bundled import DAILY_BUILD, PROJECT
from tests.unit.dbt_cloud.conftest import MakeTask, missing_table
from tests.unit.dbt_cloud.models.scripted_dbt_cloud import Node, ScriptedDbtCloud, serve

STEPS = [
    "dbt build --select stg_stores stg_products",
    "dbt parse",
    "dbt docs generate",
    "dbt test --select stg_products",
]
BROKEN = "model.jaffle_shop.stg_stores"
LINEAGE = PROJECT / "include" / "lineage" / "daily_build.json"


def nodes() -> list[Node]:
    """Return the nodes of the jaffle shop."""
    listed = json.loads(LINEAGE.read_text())["nodes"]
    return [
        Node(
            unique_id=one["unique_id"],
            parents=tuple(one["parents"]),
            folder=one.get("folder", ""),
            tags=tuple(one.get("tags", ())),
        )
        for one in listed
    ]


def polled(run_id: int) -> tuple[dict[str, Any], RunProgress]:
    """Return the run and its progress in a task group."""
    client, key = DbtCloudClient(DbtCloudHook(), None), uuid4().hex
    job = {"account_id": client.account_id, "job_id": 65767, "runs": [run_id], "key": key}
    progress = poll_in_worker(client, "dbt_cloud_default", json.dumps(job)).of(run_id)
    assert progress
    details = client.get(f"runs/{run_id}/", include_related="run_steps,job,trigger")
    return details, progress


def shape(progress: RunProgress) -> list[Any]:
    return [
        (
            step.command,
            step.status,
            step.is_planned,
            {label: line.status for label, line in step.node_lines.items()},
            {key: result.status for key, result in (step.results or {}).items()},
        )
        for step in progress.steps
    ]


def keys(value: Any) -> Any:
    """Return the nested names; of lists only those of the first entry."""
    if isinstance(value, dict):
        return {key: keys(one) for key, one in value.items()}
    return [keys(value[0])] if isinstance(value, list) and value else None


def has(value: Any, names: Any) -> bool:
    """Return whether the value has all these names."""
    if isinstance(names, dict):
        return isinstance(value, dict) and all(has(value.get(key), names[key]) for key in names)
    if isinstance(names, list):
        return isinstance(value, list) and has(value[0], names[0])
    return True


@pytest.mark.parametrize("is_broken", [False, True])
def test_scripted_dbt_cloud_matches_the_local_dbt_cloud(
    make_task: MakeTask, monkeypatch: pytest.MonkeyPatch, is_broken: bool
) -> None:
    server = make_task().server
    with missing_table(server, "stores") if is_broken else nullcontext():
        run_id = server.trigger(DAILY_BUILD, steps_override=STEPS, generate_docs_override=False)
        server.wait(run_id)
    details, real = polled(run_id)

    dbt_cloud = ScriptedDbtCloud(nodes(), *STEPS)
    if is_broken:
        dbt_cloud.choose = lambda node, run: "error" if node.unique_id == BROKEN else good(node)
    dbt_cloud.start(STEPS)
    dbt_cloud.finish()
    with monkeypatch.context() as patches:
        serve(patches, lambda: dbt_cloud)
        scripted_details, scripted = polled(1)

    assert shape(scripted) == shape(real)
    assert scripted.run.has_failed == real.run.has_failed == is_broken
    assert has(keys(details), keys(scripted_details))


def good(node: Node) -> str:
    return "pass" if node.is_test else "success"

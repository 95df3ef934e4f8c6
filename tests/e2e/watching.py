"""Asset watchers in a running Airflow: they begin, dbt runs end, and events come of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from airflow.sdk import Asset

from include.dbt_cloud.events.watcher import CURSOR_KEY
from tests.e2e.airflow_client import Airflow
from tests.e2e.project import Project
from tests.e2e.webhooks import events_of
from tests.waiting import eventually

QUICK = "dbt deps"  # a command that leaves the warehouse alone


def begin_to_watch(airflow: Airflow, dag_id: str, *assets: Asset) -> None:
    """Switch the Dag on; its watchers begin when Airflow parses the file the next time."""
    airflow.call("PATCH", f"/dags/{dag_id}", is_paused=False)
    token = airflow.call("GET", f"/dags/{dag_id}")["file_token"]
    parsing = airflow.api.put(f"/parseDagFile/{token}")
    assert parsing.status_code in (201, 409), parsing.text  # it is to be parsed already
    for asset in assets:
        path = f"/assets/{asset_id(airflow, asset)}/state-store"

        def keys(path: str = path) -> bool:
            stored = airflow.call("GET", path)["asset_state_store"]
            return CURSOR_KEY in {one["key"] for one in stored}

        eventually(keys, f"the watcher of {asset.uri} has begun")


def asset_id(airflow: Airflow, asset: Asset) -> int:
    found = airflow.call("GET", f"/assets?uri_pattern={asset.uri}")["assets"]
    return int(next(one["id"] for one in found if one["uri"] == asset.uri))


def event_counts(airflow: Airflow, asset: Asset) -> Counter[int]:
    """Run id → how many events the asset has of it."""
    return Counter(one["extra"]["dbt_cloud_run"]["run_id"] for one in events_of(airflow, asset))


def dag_run_of(airflow: Airflow, asset: Asset, run_id: int) -> str:
    """Return the Dag run that the run's event helped to start."""

    def started() -> list[str]:
        events = events_of(airflow, asset)
        about = [one for one in events if one["extra"]["dbt_cloud_run"]["run_id"] == run_id]
        return [one["run_id"] for event in about for one in event["created_dagruns"]]

    return eventually(started, f"run {run_id} starts a Dag run")[0]


def run_outside(project: Project, job_id: int, *steps: str, **overrides: Any) -> dict[str, Any]:
    """Run a job outside Airflow, from start to end; return its run."""
    body = {"cause": "started by curl"} | ({"steps_override": steps} if steps else {}) | overrides
    answer = project.dbt_cloud.post(f"/jobs/{job_id}/run/", json=body).raise_for_status()
    run_id = answer.json()["data"]["id"]

    def ended() -> dict[str, Any] | None:
        (run,) = project.dbt_runs(pk=run_id)
        return run if run["is_complete"] else None

    return eventually(ended, f"run {run_id} ends", pause=0.2)


Subscription = dict[str, Any]


def subscriptions(project: Project) -> list[Subscription]:
    """To the local dbt Cloud's webhooks."""
    listed = project.dbt_cloud.get(f"{webhooks_of(project)}s").raise_for_status().json()["data"]
    found: list[Subscription] = listed
    return found


def change(project: Project, subscription: Subscription, **fields: Any) -> None:
    address = f"{webhooks_of(project)}/{subscription['id']}"
    project.dbt_cloud.put(address, json=subscription | fields).raise_for_status()


def webhooks_of(project: Project) -> str:
    return str(project.dbt_cloud.base_url).replace("/v2/", "/v3/") + "webhooks/subscription"


def activate_webhooks(project: Project) -> None:
    """Five failed tries in a row switch them off, and two tests before may have had some each."""
    for one in subscriptions(project):
        change(project, one, active=True)


@contextmanager
def no_webhooks(project: Project) -> Iterator[None]:
    """Whoever has subscribed to the local dbt Cloud's webhooks hears nothing meanwhile."""
    active = [one for one in subscriptions(project) if one["active"]]
    for one in active:
        change(project, one, active=False)
    try:
        yield
    finally:
        for one in active:
            change(project, one, active=True)

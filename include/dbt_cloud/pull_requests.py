"""Checks of pull requests: a newer commit takes an older one's place, and what a check found."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudHook, DbtCloudJobRunStatus

from .artifacts import BUILT, FAILED, TESTS, Node, nodes_of_run, read_artifact
from .client import DbtCloudClient
from .failures import shortened

log = logging.getLogger(__name__)


def cancel_older_runs(
    job_id: int,
    pull_request: dict[str, int],
    commit: str | None,
    before: datetime,
    dbt_cloud_conn_id: str = DbtCloudHook.default_conn_name,
    account_id: int | None = None,
) -> list[int]:
    """Cancels the active runs that check another commit of the pull request; returns their ids.

    Args:
        job_id: The job that checks pull requests.
        pull_request: The trigger's field with its number, such as {"github_pull_request_id": 7}.
        commit: The full id of the commit whose runs stay; None if all are to end.
        before: Runs that began later check a newer commit, and stay.
        dbt_cloud_conn_id: The connection to dbt Cloud.
        account_id: By default the connection's.
    """
    client = DbtCloudClient(DbtCloudHook(dbt_cloud_conn_id), account_id)
    active = client.get(
        "runs/",
        job_definition_id=job_id,
        status__in=str(list(DbtCloudJobRunStatus.NON_TERMINAL_STATUSES.value)),
        order_by="-id",
        include_related="trigger",
    )
    older = [
        run
        for run in active
        if pull_request.items() <= run["trigger"].items()
        and (commit is None or run["trigger"].get("git_sha") != commit)
        and datetime.fromisoformat(run["created_at"]) < before
    ]
    for run in older:
        log.info("Cancelling the run of commit %s: %s", run["trigger"].get("git_sha"), run["href"])
        client.cancel(run["id"])
    return [run["id"] for run in older]


def report_check(
    run_id: int,
    dbt_cloud_conn_id: str = DbtCloudHook.default_conn_name,
    account_id: int | None = None,
) -> dict[str, Any]:
    """What was built, what was read from production and what failed, also in the log.

    ``commit`` is None if dbt Cloud did not check one out. The run has ended.
    """
    client = DbtCloudClient(DbtCloudHook(dbt_cloud_conn_id), account_id)
    run = client.get(f"runs/{run_id}/", include_related="run_steps")
    nodes = list(nodes_of_run(client, run))
    failed = [node for node in nodes if node.status in FAILED]
    found = {
        "status": run["status_humanized"],
        "commit": run["git_sha"],
        "url": run["href"],
        "built": names(node for node in nodes if node.kind in BUILT and node.status == "success"),
        "deferred": deferred(client, run, nodes) if run["deferring_run_id"] else [],
        "failed_tests": names(node for node in failed if node.kind in TESTS),
        "failed_models": names(node for node in failed if node.kind in BUILT),
    }
    log.info("\n%s", "\n".join(f"{title:<14}{shown(value)}" for title, value in found.items()))
    for node in failed:
        log.info("%s: %s", node.name, shortened(node.message))
    return found


def deferred(client: DbtCloudClient, run: dict[str, Any], nodes: list[Node]) -> list[str]:
    """The parents of what was built or tested that this run has not built itself."""
    seen = {node.unique_id for node in nodes}
    parents: set[str] = set()
    for step in {node.step for node in nodes}:
        manifest = read_artifact(client, run["id"], "manifest.json", step) or {}
        for node in nodes:
            parents.update(manifest.get("parent_map", {}).get(node.unique_id, []))
    return sorted(name.split(".", 2)[2] for name in parents - seen if name.split(".")[0] in BUILT)


def names(nodes: Iterator[Node]) -> list[str]:
    return sorted({node.name for node in nodes})


def shown(value: Any) -> str:
    return ", ".join(value) if isinstance(value, list) else str(value)

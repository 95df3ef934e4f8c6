"""Check pull requests: cancel the runs of older commits, and report the findings."""

from __future__ import annotations

import logging
import re
from collections.abc import Container, Iterable
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudHook, DbtCloudJobRunStatus

from .api.artifacts import BUILT, TESTS, Node, nodes_of_run, read_artifact
from .api.client import DbtCloudClient
from .api.node_names import distinct_names
from .api.runs import PAGE, Run
from .run.failures import shortened
from .run.operator import DbtCloudRunJobExactlyOnceOperator
from .run.recovery import PULL_REQUEST_IDS

if TYPE_CHECKING:
    from airflow.sdk import Context

ASKED = re.compile(r"Asked for at (\S+), ")
log = logging.getLogger(__name__)


class DbtCloudCheckPullRequestOperator(DbtCloudRunJobExactlyOnceOperator):
    """Runs a job for a pull request, and keeps only the run that was requested last.

    ``additional_run_config`` names the pull request and the commit; without a commit all other runs
    are cancelled. A run's cause has the time of its request, since Airflow may start a newer Dag
    run first. The task checks other runs after it has started its own, so the later of two tasks
    sees both runs.
    """

    def run_of_this_task(self, context: Context, job_id: int) -> Run:
        run = super().run_of_this_task(context, job_id)
        keep_newest_run(self.client, job_id, run.id, self.additional_run_config, asked_for(context))
        return run

    def reason(self, context: Context) -> str:
        reason = super().reason(context)
        is_json = reason.startswith("{")  # OpenLineage's
        return reason if is_json else f"Asked for at {asked_for(context).isoformat()}, {reason}"


def asked_for(context: Context) -> datetime:
    dag_run: Any = context["dag_run"]
    moment: datetime = dag_run.run_after
    return moment


def keep_newest_run(
    client: DbtCloudClient, job_id: int, run_id: int, check: dict[str, Any], asked_at: datetime
) -> None:
    """Cancel the active runs of older commits, and ``run_id`` if a newer commit has a run.

    ``check`` is the part of the run's trigger that names the pull request and the commit.
    """
    newest = client.get(
        "runs/", job_definition_id=job_id, order_by="-id", limit=PAGE, include_related="trigger"
    )
    others = [run for run in newest if run["id"] != run_id and is_of_other_commit(run, check)]
    for run in others:
        if run["status"] in DbtCloudJobRunStatus.NON_TERMINAL_STATUSES.value and (
            (asked_at_in(run) or datetime.fromisoformat(run["created_at"])) < asked_at
        ):
            log.info("Cancelling the run of an older commit: %s", run["href"])
            client.cancel(run["id"])
    if newer := [run for run in others if (asked_at_in(run) or asked_at) > asked_at]:
        log.info("Cancelling this run, since a newer check was requested: %s", newer[0]["href"])
        client.cancel(run_id)


def is_of_other_commit(run: dict[str, Any], check: dict[str, Any]) -> bool:
    """Return whether the run is for another commit of the pull request, or for any without one."""
    pull_request, commit = pull_request_of(check), check.get("git_sha")
    trigger = run["trigger"] or {}
    is_same = bool(pull_request) and pull_request.items() <= pull_request_of(trigger).items()
    return is_same and (commit is None or normalized(trigger.get("git_sha")) != normalized(commit))


def pull_request_of(trigger: dict[str, Any]) -> dict[str, str]:
    """Return its numbers as text: a template returns text, and dbt Cloud a number."""
    found = {name: trigger.get(name) for name in PULL_REQUEST_IDS}
    return {name: normalized(number) for name, number in found.items() if number is not None}


def normalized(value: Any) -> str:
    return str(value).strip().lower()


def asked_at_in(run: dict[str, Any]) -> datetime | None:
    """Return when this operator requested the run; None if it did not."""
    found = ASKED.match((run["trigger"] or {}).get("cause") or "")
    with suppress(ValueError):  # of a cause that a person wrote
        moment = datetime.fromisoformat(found[1]) if found else None
        return moment if moment and moment.tzinfo else None
    return None


def report_check(
    run_id: int,
    dbt_cloud_conn_id: str = DbtCloudHook.default_conn_name,
    account_id: int | None = None,
) -> dict[str, Any]:
    """Return and log the built nodes, those read from production, and the failures.

    The run must have finished. ``commit`` is None if dbt Cloud checked none out.
    """
    client = DbtCloudClient(DbtCloudHook(dbt_cloud_conn_id), account_id)
    run = client.get(f"runs/{run_id}/", include_related="run_steps")
    nodes = outcomes(nodes_of_run(client, run))
    parents = deferred(client, run, nodes) if run["deferring_run_id"] else set()
    found = findings(run, nodes, parents)
    log.info("\n%s", "\n".join(f"{title:<14}{shown(value)}" for title, value in found.items()))
    for node in nodes:
        if node.has_failed:
            log.info("%s: %s", node.unique_id, shortened(node.message))
    return found


def outcomes(nodes: Iterable[Node]) -> list[Node]:
    """Return each node once, with its result of the last step that ran it."""
    return list({node.unique_id: node for node in nodes}.values())


def findings(run: dict[str, Any], nodes: list[Node], parents: set[str]) -> dict[str, Any]:
    """Return the report; ``parents`` are the unique ids of nodes read from production."""
    names = distinct_names([*(node.unique_id for node in nodes), *parents])
    failed = [node for node in nodes if node.has_failed]

    def named(kinds: Container[str], nodes: Iterable[Node]) -> list[str]:
        return sorted(names[one.unique_id] for one in nodes if one.kind in kinds)

    return {
        "status": run["status_humanized"],
        "commit": run["git_sha"],
        "url": run["href"],
        "built": named(BUILT, (one for one in nodes if one.status == "success")),
        "deferred": sorted(names[unique_id] for unique_id in parents),
        "failed_tests": named(TESTS, failed),
        "failed_models": named(BUILT, failed),
    }


def deferred(client: DbtCloudClient, run: dict[str, Any], nodes: list[Node]) -> set[str]:
    """Return the unique ids of parents that the run did not build itself."""
    seen = {node.unique_id for node in nodes}
    parents: set[str] = set()
    for step in {node.step for node in nodes}:
        manifest = read_artifact(client, run["id"], "manifest.json", step) or {}
        parents_of = manifest.get("parent_map") or {}
        for node in nodes:
            parents.update(parents_of.get(node.unique_id) or [])
    return {name for name in parents - seen if name.split(".")[0] in BUILT}


def shown(value: Any) -> str:
    return ", ".join(value) if isinstance(value, list) else str(value)

"""Checks of pull requests: a newer commit takes an older one's place, and what a check found."""

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
    """Runs a job for a pull request. Of runs for its commits, the one asked for last goes on.

    ``additional_run_config`` names the pull request and the commit, or no commit where all other
    runs are to end. A run's cause says when Airflow was asked for it, since Airflow may get to a
    newer Dag run first. The task looks at other runs once its own is there: whichever of two looks
    last sees both.
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
    """Cancels the active runs of older commits, and ``run_id`` if there is one of a newer commit.

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
        log.info("Cancelling this run, since a newer check was asked for: %s", newer[0]["href"])
        client.cancel(run_id)


def is_of_other_commit(run: dict[str, Any], check: dict[str, Any]) -> bool:
    """Of the same pull request; without a commit in ``check``, every run of it."""
    wanted, commit = pull_request_of(check), check.get("git_sha")
    trigger = run["trigger"] or {}
    is_same = bool(wanted) and wanted.items() <= pull_request_of(trigger).items()
    return is_same and (commit is None or text(trigger.get("git_sha")) != text(commit))


def pull_request_of(trigger: dict[str, Any]) -> dict[str, str]:
    """Return its numbers as text: a template leaves text, and dbt Cloud tells a number."""
    return {name: text(trigger[name]) for name in PULL_REQUEST_IDS if trigger.get(name) is not None}


def text(value: Any) -> str:
    return str(value).strip().lower()


def asked_at_in(run: dict[str, Any]) -> datetime | None:
    """None for runs that another operator started, a person, or dbt Cloud itself."""
    found = ASKED.match((run["trigger"] or {}).get("cause") or "")
    with suppress(ValueError):  # a person may write anything
        moment = datetime.fromisoformat(found[1]) if found else None
        return moment if moment and moment.tzinfo else None
    return None


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
    nodes = outcomes(nodes_of_run(client, run))
    parents = deferred(client, run, nodes) if run["deferring_run_id"] else set()
    found = findings(run, nodes, parents)
    log.info("\n%s", "\n".join(f"{title:<14}{shown(value)}" for title, value in found.items()))
    for node in nodes:
        if node.has_failed:
            log.info("%s: %s", node.unique_id, shortened(node.message))
    return found


def outcomes(nodes: Iterable[Node]) -> list[Node]:
    """Each node once, as the last step left it that ran it."""
    return list({node.unique_id: node for node in nodes}.values())


def findings(run: dict[str, Any], nodes: list[Node], parents: set[str]) -> dict[str, Any]:
    """``parents`` are the unique ids of what was read from production."""
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
    """Unique ids of the parents of what was built or tested that the run has not built itself."""
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

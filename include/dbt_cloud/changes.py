"""List the changes from production by ``dbt ls`` in a dbt Cloud run, for a person to approve.

``dbt ls`` writes no results. Its selection is only in its log, one JSON object per node and line:
https://docs.getdbt.com/reference/commands/list
"""

from __future__ import annotations

import json
import logging
import re
import shlex
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any

from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudHook, DbtCloudJobRunStatus

from .airflow.compat import AirflowException, AirflowFailException, AirflowSkipException
from .api.artifacts import BUILT, command_of
from .api.client import DbtCloudClient
from .api.node_names import distinct_names, short_name
from .api.runs import MAX_PAGES, PAGE
from .run.recovery import MAX_SELECTED_NODES, selector

LIST_ALL = "dbt ls --output json --output-keys unique_id config.materialized"
LIST_CHANGES = f"{LIST_ALL} --select state:modified+"
# A run in another schema does not count as production's state; `dbt ls` creates no schema.
LISTING_SCHEMA = "only_listed"
# Log messages of dbt Core and Fusion for an empty selection.
NOTHING = ("No nodes selected", "dbt1601")
NOT_BUILT = ("analysis", "exposure", "metric", "saved_query", "semantic_model", "source")
MAX_SHOWN = 100  # rows of the approver's table
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Change:
    """A node that would be built; ``materialized`` is empty if dbt does not list it."""

    unique_id: str
    materialized: str = ""

    @property
    def kind(self) -> str:
        return self.unique_id.partition(".")[0]

    @property
    def short_name(self) -> str:
        return short_name(self.unique_id)

    @property
    def shown_kind(self) -> str:
        if self.kind == "model" and self.materialized:
            return f"model, {self.materialized}"
        return self.kind.replace("_", " ")


def how_to_list(
    list_job_id: int,
    build_job_id: int,
    dbt_cloud_conn_id: str = DbtCloudHook.default_conn_name,
    account_id: int | None = None,
) -> dict[str, Any]:
    """Return the ``job_id``, ``steps`` and ``schema`` of a run that lists what would be built.

    Args:
        list_job_id: A job in another environment that compares with production. In production the
            list itself would count as the newest state.
        build_job_id: The production job that builds. It lists everything if no run has succeeded
            in its environment yet, since there is no state to compare with.
        dbt_cloud_conn_id: The connection to dbt Cloud.
        account_id: By default the connection's.
    """
    client = DbtCloudClient(DbtCloudHook(dbt_cloud_conn_id), account_id)
    lists = client.get(f"jobs/{list_job_id}/")
    production = client.get(f"jobs/{build_job_id}/")["environment_id"]
    if lists["deferring_environment_id"] != production:
        raise AirflowFailException(
            f"Job {list_job_id} does not compare with environment {production}, which job "
            f'{build_job_id} builds: choose it in that job, under "Compare changes against".'
        )
    if lists["environment_id"] == production:
        raise AirflowFailException(
            f"Job {list_job_id} is itself in environment {production}, where its list would count "
            "as the newest state: create it in another environment."
        )
    if has_state(client, production):
        return {"job_id": list_job_id, "steps": [LIST_CHANGES], "schema": None}
    log.info("No run has succeeded in environment %s yet, so everything is new.", production)
    return {"job_id": build_job_id, "steps": [LIST_ALL], "schema": LISTING_SCHEMA}


def has_state(client: DbtCloudClient, environment_id: int) -> bool:
    """Return whether the environment has a successful run to compare with."""
    succeeded = client.pages(
        "runs/",
        PAGE,
        MAX_PAGES,
        environment_id=environment_id,
        status=DbtCloudJobRunStatus.SUCCESS.value,
        order_by="-id",
        include_related="trigger",
    )
    return any(not run["trigger"]["schema_override"] for run in succeeded)


def read_changes(
    run_id: int,
    dbt_cloud_conn_id: str = DbtCloudHook.default_conn_name,
    account_id: int | None = None,
) -> dict[str, Any]:
    """Return the nodes that a run listed, and how to build exactly these; log them too.

    Returns:
        The ``nodes`` by kind, ``subject`` and ``body`` (Markdown) for the approver, the ``steps``
        of the run that builds them, and in ``state`` its commit: the listed one, also if the
        branch has newer commits.

    Raises:
        AirflowSkipException: Nothing has changed.
        AirflowException: The run's log has no list.
    """
    client = DbtCloudClient(DbtCloudHook(dbt_cloud_conn_id), account_id)
    run = client.get(f"runs/{run_id}/", include_related="run_steps")
    changes = sorted(changes_of(run), key=lambda one: (one.kind not in BUILT, one.short_name))
    if not changes:
        raise AirflowSkipException(
            f"Nothing differs from {compared_with(run)}: nothing to build or to approve."
        )
    for name, change in named(changes):
        log.info("%s (%s)", name, change.shown_kind)
    return {
        "nodes": {change.unique_id: change.shown_kind for change in changes},
        "subject": f"Build {numbers(changes)}?",
        "body": "\n".join(lines_for_approver(run, changes)),
        "steps": [build_command(run, changes)],
        "state": {"git_sha": run["git_sha"]} if run["git_sha"] else {},
    }


def changes_of(run: dict[str, Any]) -> Iterator[Change]:
    """Yield the listed nodes that dbt builds; ``run`` must include its steps."""
    logs = [step.get("logs") or "" for step in run["run_steps"] or () if is_list(step)]
    lines = "\n".join(logs).splitlines()
    listed = [node for line in lines if (node := node_in(line))]
    if not listed and not any(word in line for word in NOTHING for line in lines):
        raise AirflowException(
            f"The log of run {run['id']} has neither a list nor a message that it is empty: see "
            f"{run['href']}"
        )
    for node in listed:
        change = Change(node["unique_id"], str(node.get("config.materialized") or ""))
        if change.kind not in NOT_BUILT:
            yield change


def named(changes: list[Change]) -> Iterator[tuple[str, Change]]:
    """Yield each change after its distinct name."""
    names = distinct_names(change.unique_id for change in changes)
    return ((names[change.unique_id], change) for change in changes)


def is_list(step: dict[str, Any], command: str = LIST_ALL) -> bool:
    return (command_of(step) or "").startswith(command)


def has_compared(run: dict[str, Any]) -> bool:
    """Return whether the run listed only changes.

    Check its command, since a deferring run is not documented to have a ``deferring_run_id``.
    """
    return any(is_list(step, LIST_CHANGES) for step in run["run_steps"] or ())


def node_in(line: str) -> dict[str, Any] | None:
    """Return a node's JSON from a line, which may start with the time; None for other lines."""
    found = re.search(r'\{.*"unique_id".*\}', line)
    with suppress(ValueError, RecursionError):
        node: dict[str, Any] = json.loads(found[0]) if found else {}
        return node if isinstance(node.get("unique_id"), str) else None
    return None


def builds_all(run: dict[str, Any], changes: list[Change]) -> bool:
    """Return whether to build everything: no comparison, or too many nodes for a command."""
    return not has_compared(run) or len(changes) > MAX_SELECTED_NODES


def build_command(run: dict[str, Any], changes: list[Change]) -> str:
    """Return the command that builds the changes by name, since ``state:modified`` may change."""
    if builds_all(run, changes):
        return "dbt build"
    return shlex.join(["dbt", "build", "--select", *(selector(one.unique_id) for one in changes)])


def compared_with(run: dict[str, Any]) -> str:
    newest = run["deferring_run_id"]
    return "production's newest state" + (f", that of run {newest}" if newest else "")


def numbers(changes: list[Change]) -> str:
    """Return counts such as "4 models, 2 tests"."""
    counts = Counter(change.kind.replace("_", " ") for change in changes)
    return ", ".join(f"{n} {kind}{'s' if n > 1 else ''}" for kind, n in counts.items())


def lines_for_approver(run: dict[str, Any], changes: list[Change]) -> Iterator[str]:
    """Yield Markdown. Names are foreign text, so they are formatted as code."""
    if not has_compared(run):
        yield "No run has succeeded in production yet, so **everything** is new."
    else:
        yield f"These nodes differ from {compared_with(run)}, or depend on nodes that do."
        if builds_all(run, changes):
            too_many = f"A command cannot name more than {MAX_SELECTED_NODES} nodes"
            yield f"{too_many}, so **everything** would be built."
    yield f"Listed by [run {run['id']}]({run['href']}), {commit_of(run)}"
    yield ""
    yield "| node | kind |"
    yield "|---|---|"
    for name, change in islice(named(changes), MAX_SHOWN):
        yield f"| {code(name)} | {without_markdown(change.shown_kind)} |"
    if len(changes) > MAX_SHOWN:
        yield f"\nand {len(changes) - MAX_SHOWN} more, in the log of the task before."


def commit_of(run: dict[str, Any]) -> str:
    if not run["git_sha"]:
        return "of no commit: changes made before the build starts are built too."
    branch = f" of branch {code(run['git_branch'])}" if run["git_branch"] else ""
    return f"of commit {code(run['git_sha'])}{branch}. Exactly this commit would be built."


def without_markdown(text: str) -> str:
    """Return text without characters that have a meaning in Markdown.

    >>> without_markdown("model, my_*table*|<b>")
    'model, my_ table b'
    """
    return " ".join(re.sub(r"[^\w\s.,:/-]", " ", text).split())


def code(text: str) -> str:
    """Return any text as Markdown code, also for tables.

    >>> code("or`de|rs")
    "`or'de/rs`"
    """
    return "`{}`".format(" ".join(text.split()).replace("`", "'").replace("|", "/"))

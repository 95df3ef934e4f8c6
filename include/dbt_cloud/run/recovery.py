"""Commands that finish a failed run that dbt Cloud cannot resume."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Any

from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudJobRunStatus as Status

from ..api.artifacts import (
    BUILT,
    GOOD,
    TESTS,
    Node,
    command_of,
    every_node,
    nodes_of_run,
    read_artifact,
)
from ..api.client import DbtCloudClient
from ..api.commands import SELECTING, can_build, select_only, verb_of
from ..api.live_log import label_of, unfinished_in
from ..api.loose_json import record, text

# Hooks (on-run-start, on-run-end) have results, but cannot be selected.
NOT_SELECTABLE = "operation."
RUN = tuple(f"{kind}." for kind in (*BUILT, *TESTS))  # kinds with results
MAX_SELECTED_NODES = 500  # beyond, a command is too long and saves little
# https://docs.getdbt.com/docs/deploy/retry-jobs
REASONS = {
    "RETRY_UNSUPPORTED_CMD": "dbt cannot retry the command that failed",
    "RETRY_UNSUPPORTED_VERSION": "the job's dbt version is older than 1.6",
    "RETRY_NOT_LATEST_RUN": "the job has run again since",
    "RETRY_NOT_FAILED_RUN": "the run did not fail",
    "RETRY_NO_RUN_RESULTS": "the run failed before dbt had built anything",
}
# In the trigger of a run that checks a pull request.
PULL_REQUEST_IDS = (
    "azure_pull_request_id",
    "github_pull_request_id",
    "gitlab_merge_request_id",
    "non_native_pull_request_id",
)
# Overrides in a run's trigger, which the run that finishes it must keep.
OVERRIDES = (
    *PULL_REQUEST_IDS,
    "dbt_version_override",
    "generate_docs_override",
    "git_branch",
    "git_sha",
    "schema_override",
    "steps_override",
    "target_name_override",
    "threads_override",
    "timeout_seconds_override",
)
TEST_HASH = re.compile(r"\.[0-9a-f]{10}$")  # ends the id of a generic test
SPECIAL = re.compile(r"[^\w.-]")  # in a selection, such as blank and "+"


def commands_after_failure(client: DbtCloudClient, run: dict[str, Any]) -> list[str] | None:
    """Return the failed command for failed and skipped nodes, then the commands after it.

    ``run`` must include its steps, job and trigger. If the nodes without results are uncertain, the
    whole command is returned. None means a full run: the run deferred, the failed step is not one
    of the job's commands, or dbt wrote no results.
    """
    if run.get("deferring_run_id"):
        return None  # a test would read production's model instead of the run's
    commands = planned_commands(run)
    failed = failed_step(run)
    command = command_of(failed) if failed else None
    if failed is None or command is None or command not in commands:
        return None
    results = [node for node in nodes_of_run(client, run) if node.step == failed["index"]]
    if not results:
        return None
    manifest = read_artifact(client, run["id"], "manifest.json", failed["index"])
    lost = lost_nodes(command, failed.get("logs") or "", results, record(manifest))
    rest = commands[commands.index(command) + 1 :]
    if lost is None:
        return [command, *rest] if verb_of(command) in SELECTING else None
    nodes = [*unfinished_nodes(results), *lost]
    if not nodes or len(nodes) > MAX_SELECTED_NODES:
        return None
    rebuilt = select_only(command, [selector(node) for node in nodes])
    return [rebuilt, *rest] if rebuilt else None


def unfinished_nodes(results: list[Node]) -> list[str]:
    """Return the unique ids of failed and skipped nodes."""
    bad = [node.unique_id for node in results if node.status not in GOOD]
    return [unique_id for unique_id in bad if not unique_id.startswith(NOT_SELECTABLE)]


def lost_nodes(
    command: str, log: str, results: list[Node], manifest: dict[str, Any]
) -> list[str] | None:
    """Return the unique ids of nodes that failed in dbt's log and have no result.

    An example is a failed microbatch model in dbt 2.0. Return None if a name in the log matches no
    node or several, or if the command may also select such a node's children.
    """
    every = every_node(manifest).items()
    nodes = {key: record(node) for key, node in every if key.startswith(RUN)}
    named: dict[str, set[str]] = defaultdict(set)
    for unique_id, node in nodes.items():
        named[label_in(unique_id, node)].add(unique_id)
    finished, bad = {node.unique_id for node in results}, set(unfinished_nodes(results))
    lost: set[str] = set()
    for label, times in unfinished_in(log).items():
        if times <= len(named[label] & bad):
            continue
        missing = named[label] - finished
        if not named[label] or len(missing) > 1:
            return None
        lost |= missing
    for unique_id in nodes.keys() - finished - lost:
        parents = record(nodes[unique_id].get("depends_on")).get("nodes") or ()
        if not lost.isdisjoint(parents) and can_build(command, [unique_id]):
            return None
    return sorted(lost)


def label_in(unique_id: str, node: dict[str, Any]) -> str:
    """Return the name of a manifest's node in dbt's log."""
    name = text(node.get("name"))
    relation = f"{text(node.get('schema'))}.{text(node.get('alias')) or name}"
    is_test = unique_id.partition(".")[0] in TESTS
    return label_of(unique_id, name, "" if is_test else relation)


def planned_commands(run: dict[str, Any]) -> list[str]:
    """Return the run's planned commands; ``run`` must include its job and trigger."""
    steps = (run.get("trigger") or {}).get("steps_override") or run["job"]["execute_steps"]
    return list(steps)


def overrides_of(run: dict[str, Any]) -> dict[str, Any]:
    """Return the overrides of a run; it must include its trigger."""
    trigger = run.get("trigger") or {}
    return {name: trigger[name] for name in OVERRIDES if trigger.get(name) is not None}


def refusal_reason(retry_not_supported_reason: str | None) -> str:
    """Return why dbt Cloud cannot resume a run; an undocumented reason is returned unchanged."""
    reason = retry_not_supported_reason or "dbt Cloud gives no reason"
    return REASONS.get(reason, reason)


def failed_step(run: dict[str, Any]) -> dict[str, Any] | None:
    """Return the step that ended the run: the last failed one (checkbox steps can fail too)."""
    steps = run.get("run_steps") or []
    failed = [step for step in steps if step["status"] == Status.ERROR.value]
    return failed[-1] if failed else None


def selector(unique_id: str) -> str:
    """Return a selector of one node, without nodes of other packages, folders or versions.

    The pattern ``*.`` matches any folder. Without it, a name would also select a folder's content.

    >>> selector("model.shop.orders.v2"), selector("test.shop.not_null_orders_id.cf6c17daed")
    ('package:shop,fqn:*.orders.v2', 'package:shop,fqn:*.not_null_orders_id')
    """
    kind, _, rest = unique_id.partition(".")
    package, _, name = rest.partition(".")
    name = SPECIAL.sub("?", name)
    if kind == "test":
        name = TEST_HASH.sub("", name)
    if kind == "unit_test":
        package, name = f"{package},resource_type:unit_test", of_all_versions(name)
    return f"package:{package},fqn:*.{name}"


def of_all_versions(unit_test: str) -> str:
    """Return a pattern for a unit test in all versions of its model.

    Selections use the name without the version that dbt Core (``_v2``) and dbt 2 (``.v2``) append
    to the id.

    >>> of_all_versions("orders.adds_up_v2"), of_all_versions("orders.adds_up")
    ('orders.adds_up*', 'orders.adds_up')
    """
    model, _, test = unit_test.partition(".")
    name = test.partition(".v")[0]
    name = name.rpartition("_v")[0] or name
    return unit_test if name == test else f"{model}.{name}*"

"""The commands that finish a failed run which dbt Cloud cannot resume."""

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

# Hooks (on-run-start, on-run-end) are in the results, but no selection can name them.
NOT_SELECTABLE = "operation."
RUN = tuple(f"{kind}." for kind in (*BUILT, *TESTS))  # what dbt leaves results of
MAX_NODES = 500  # beyond, a command would become too long and little would be saved
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
# What a trigger can change of a run: a run that finishes another does so in the same place.
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
HASH = re.compile(r"\.[0-9a-f]{10}$")  # ends the id of a generic test
WITH_A_MEANING = re.compile(r"[^\w.-]")  # in a selection, such as blank and "+"


def commands_after_failure(client: DbtCloudClient, run: dict[str, Any]) -> list[str] | None:
    """The failed command for what failed or was skipped, then the commands that never ran.

    ``run`` comes with its steps, job and trigger. The whole command, if it is not certain which
    nodes dbt has left no results of. None if everything has to run: the run deferred, the failed
    step is not one of the job's commands, or dbt left no results.
    """
    if run.get("deferring_run_id"):
        return None  # a test would look at production's model, not at the one that the run built
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
    nodes = [*unfinished(results), *lost]
    if not nodes or len(nodes) > MAX_NODES:
        return None
    rebuilt = select_only(command, [selector(node) for node in nodes])
    return [rebuilt, *rest] if rebuilt else None


def unfinished(results: list[Node]) -> list[str]:
    """The unique ids of what failed or was skipped."""
    bad = [node.unique_id for node in results if node.status not in GOOD]
    return [unique_id for unique_id in bad if not unique_id.startswith(NOT_SELECTABLE)]


def lost_nodes(
    command: str, log: str, results: list[Node], manifest: dict[str, Any]
) -> list[str] | None:
    """The unique ids of what has not succeeded by dbt's log, and has no result.

    Such is a microbatch model that fails in dbt 2.0. None if the log's words fit no node or
    several, or if the command may have had to build what follows such a node.
    """
    every = every_node(manifest).items()
    nodes = {key: record(node) for key, node in every if key.startswith(RUN)}
    named: dict[str, set[str]] = defaultdict(set)
    for unique_id, node in nodes.items():
        named[label_in(unique_id, node)].add(unique_id)
    known, bad = {node.unique_id for node in results}, set(unfinished(results))
    lost: set[str] = set()
    for label, times in unfinished_in(log).items():
        if times <= len(named[label] & bad):
            continue
        missing = named[label] - known
        if not named[label] or len(missing) > 1:
            return None
        lost |= missing
    for unique_id in nodes.keys() - known - lost:
        parents = record(nodes[unique_id].get("depends_on")).get("nodes") or ()
        if not lost.isdisjoint(parents) and can_build(command, [unique_id]):
            return None
    return sorted(lost)


def label_in(unique_id: str, node: dict[str, Any]) -> str:
    """What dbt's log calls a node of the manifest."""
    name = text(node.get("name"))
    relation = f"{text(node.get('schema'))}.{text(node.get('alias')) or name}"
    is_test = unique_id.partition(".")[0] in TESTS
    return label_of(unique_id, name, "" if is_test else relation)


def planned_commands(run: dict[str, Any]) -> list[str]:
    """What the run was to do; it comes with its job and trigger."""
    steps = (run.get("trigger") or {}).get("steps_override") or run["job"]["execute_steps"]
    return list(steps)


def overrides_of(run: dict[str, Any]) -> dict[str, Any]:
    """What the run's trigger said otherwise than its job; ``run`` comes with its trigger."""
    trigger = run.get("trigger") or {}
    return {name: trigger[name] for name in OVERRIDES if trigger.get(name) is not None}


def in_words(retry_not_supported_reason: str | None) -> str:
    """Why dbt Cloud does not resume a run; a reason of another kind stays as dbt Cloud says it."""
    reason = retry_not_supported_reason or "dbt Cloud gives no reason"
    return REASONS.get(reason, reason)


def failed_step(run: dict[str, Any]) -> dict[str, Any] | None:
    """The step that ended the run: the last one in error (checkbox steps may fail before it)."""
    steps = run.get("run_steps") or []
    failed = [step for step in steps if step["status"] == Status.ERROR.value]
    return failed[-1] if failed else None


def selector(unique_id: str) -> str:
    """Return how dbt's ``--select`` names a node, and none of another package, folder or version.

    Only a pattern stands for whichever folders: without one, a name selects also what is in a
    folder of that name.

    >>> selector("model.shop.orders.v2"), selector("test.shop.not_null_orders_id.cf6c17daed")
    ('package:shop,fqn:*.orders.v2', 'package:shop,fqn:*.not_null_orders_id')
    """
    kind, _, rest = unique_id.partition(".")
    package, _, name = rest.partition(".")
    name = WITH_A_MEANING.sub("?", name)
    if kind == "test":
        name = HASH.sub("", name)
    if kind == "unit_test":
        package, name = f"{package},resource_type:unit_test", of_all_versions(name)
    return f"package:{package},fqn:*.{name}"


def of_all_versions(unit_test: str) -> str:
    """Return a pattern for a unit test and the same of its model's other versions.

    Selections know it by its name alone, without the version that dbt Core (``_v2``) and dbt 2
    (``.v2``) write into its id.

    >>> of_all_versions("orders.adds_up_v2"), of_all_versions("orders.adds_up")
    ('orders.adds_up*', 'orders.adds_up')
    """
    model, _, test = unit_test.partition(".")
    name = test.partition(".v")[0]
    name = name.rpartition("_v")[0] or name
    return unit_test if name == test else f"{model}.{name}*"

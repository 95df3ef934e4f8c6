"""The commands that finish a failed run which dbt Cloud cannot resume."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudJobRunStatus as Status

from .artifacts import command_of, unfinished_nodes
from .client import DbtCloudClient

# These build what is selected: https://docs.getdbt.com/reference/node-selection/syntax
SELECTING = {"build", "run", "seed", "snapshot", "test"}
SELECTORS = {"--select", "-s", "--models", "--model", "-m", "--exclude", "--selector"}
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


def commands_after_failure(client: DbtCloudClient, run: dict[str, Any]) -> list[str] | None:
    """The failed command for what failed or was skipped, then the commands that never ran.

    ``run`` comes with its steps, job and trigger. None if everything has to run: the run deferred,
    the failed step is not one of the job's commands, or dbt left no results.
    """
    if run.get("deferring_run_id"):
        return None  # a test would look at production's model, not at the one that the run built
    commands = planned_commands(run)
    failed = failed_step(run)
    command = command_of(failed) if failed else None
    if failed is None or command is None or command not in commands:
        return None
    nodes = unfinished_nodes(client, run["id"], failed["index"])
    if not nodes or len(nodes) > MAX_NODES:
        return None
    rest = commands[commands.index(command) + 1 :]
    rebuilt = select_only(command, [selector(node) for node in nodes])
    return [rebuilt, *rest] if rebuilt else None


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
    failed = [step for step in run["run_steps"] if step["status"] == Status.ERROR.value]
    return failed[-1] if failed else None


def select_only(command: str, selectors: list[str]) -> str | None:
    """The command with another selection, all else kept; None if it does not select nodes.

    >>> select_only("dbt build --select marts tag:daily --vars '{a: b}'", ["orders"])
    "dbt build --vars '{a: b}' --select orders"
    """
    words = shlex.split(command)
    if len(words) < 2 or SELECTING.isdisjoint(words[1:]):
        return None
    return shlex.join([*without_selection(words), "--select", *selectors])


def without_selection(words: list[str]) -> Iterator[str]:
    """Drops the options that select, with all their values."""
    is_dropping = False
    for word in words:
        if word.startswith("-"):
            is_dropping = word.partition("=")[0] in SELECTORS
        if not is_dropping:
            yield word


def selector(unique_id: str) -> str:
    """How dbt's ``--select`` calls a node.

    >>> selector("model.shop.orders.v2"), selector("test.shop.not_null_orders_id.f00")
    ('orders.v2', 'not_null_orders_id')
    """
    kind, _package, *name = unique_id.split(".")
    if kind == "unit_test":
        return f"unit_test:{name[-1]}"
    return ".".join(name) if kind == "model" else name[0]

"""The run that rebuilds the nodes of cleared tasks."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..airflow.compat import DBT_CAUSE_MAX_LENGTH, AirflowException
from ..api.client import DbtCloudClient
from ..api.commands import can_build, select_only
from ..api.node_names import distinct_names
from ..api.runs import Run
from ..run.exactly_once import LOOK_SECONDS, ExactlyOnce, newest_id
from ..run.idempotency_key import IdempotencyKey
from ..run.recovery import MAX_SELECTED_NODES, overrides_of, planned_commands, selector
from ..run.task_state import TaskState
from .following import newest_runs, rebuilding_runs

if TYPE_CHECKING:
    from airflow.sdk import Context


log = logging.getLogger(__name__)


def runs_since(client: DbtCloudClient, job: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the job's runs since its task started one, newest first."""
    found: list[dict[str, Any]] = client.get("runs/", **newest_runs(job["job_id"], job["runs"][0]))
    return found


@dataclass(frozen=True)
class OneRebuild(ExactlyOnce):
    """Starts the run once, and finds it after a lost response."""

    job: dict[str, Any] = field(default_factory=dict)
    commands: list[str] = field(default_factory=list)

    @classmethod
    def of(
        cls, client: DbtCloudClient, job: dict[str, Any], context: Context, task_state: TaskState
    ) -> OneRebuild:
        last = client.get(f"runs/{job['runs'][-1]}/", include_related="job,trigger")
        return cls(
            client=client,
            job_id=job["job_id"],
            key=IdempotencyKey.of(context),
            task_state=task_state,
            since=Run.of(last).created_at,
            body=overrides_of(last),
            job=job,
            commands=planned_commands(last),
        )

    def wait_for_lost_answer(self) -> None:
        """Wait for a run that an earlier worker may have started before it died."""
        while self.task_state.awaits_run(newest_id(self._runs_of_task())):
            time.sleep(LOOK_SECONDS)

    def start(self, nodes: list[str]) -> Run:
        """Start the job's commands that build any of these ``nodes``, with this selection."""
        if len(nodes) > MAX_SELECTED_NODES:
            raise AirflowException(
                f"{len(nodes)} nodes are too many for a command: clear the job's task instead."
            )
        commands = self.commands_for(nodes)
        if not commands:
            raise AirflowException("No command of the job selects nodes: clear the job's task.")
        names = sorted(distinct_names(nodes).values())
        log.info("Rebuilding: %s", ", ".join(names))
        ending = f" [{self.job['key']}]"
        cause = f"Airflow rebuilds: {' '.join(names)}"[: DBT_CAUSE_MAX_LENGTH - len(ending)]
        body = {**self.body, "cause": cause + ending, "steps_override": commands}
        runs = self._runs_of_task()
        return self._start_new(runs[-1] if runs else None, body, "nodes must be rebuilt")

    def commands_for(self, nodes: list[str]) -> list[str]:
        """Return the commands for these nodes, without those that ``--warn-error`` would fail."""
        able = [one for one in self.commands if can_build(one, nodes)] or self.commands
        selectors = [selector(node) for node in nodes]
        return [command for one in able if (command := select_only(one, selectors))]

    def _runs_of_task(self) -> list[Run]:
        """Return the runs that rebuild nodes of this group, oldest first."""
        listed = runs_since(self.client, self.job)
        return [run for run, _selection in rebuilding_runs(listed, self.job["key"])]

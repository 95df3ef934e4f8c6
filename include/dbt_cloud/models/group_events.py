"""OpenLineage events of a task group's runs."""

from __future__ import annotations

from typing import Any

from ..airflow.compat import XCom
from ..api.client import DbtCloudClient
from .following import rebuilding_runs
from .rebuild_run import runs_since

PARENT = "openlineage_parent"  # in the XCom of the job's task: that task in OpenLineage
EMITTED = "dbt_cloud_emitted_runs"  # XCom of the job's task


def runs_to_emit(client: DbtCloudClient, ti: Any, job: dict[str, Any]) -> list[int]:
    """Return the group's runs whose events this task emits, and record that it does.

    These are the job's last run and the rebuilding runs after it, without those of earlier tasks
    and tries. A failed run that the last one resumes was emitted by an earlier try.

    Args:
        client: The client of the group's account.
        ti: The running task instance.
        job: The XCom of the job's task.
    """
    earlier = ti.xcom_pull(task_ids=job["task_id"], key=EMITTED, map_indexes=-1) or []
    last = job["runs"][-1]
    rebuilds = [run for run, _ in rebuilding_runs(runs_since(client, job), job["key"])]
    ended = [run.id for run in rebuilds if run.id > last and not run.is_active]
    found = [run_id for run_id in (last, *ended) if run_id not in earlier]
    place = {"dag_id": ti.dag_id, "task_id": job["task_id"], "run_id": ti.run_id}
    XCom.set(EMITTED, [*earlier, *found], **place)
    return found

"""Runs (CONTRACT.md, section 3.7)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...runs.retries import retry_not_supported_reason
from ...runs.run_folder import RunFolder
from ...storage.statuses import ACTIVE, Status
from ...storage.tables import RunRow
from ...times import ago, clock, humanized, now, spaced
from .accounts import environment_payload
from .jobs import embedded_job_payload
from .steps import step_payload


@dataclass(frozen=True)
class RunView:
    """The data of a run's JSON that is not in its row."""

    base_url: str
    folder: RunFolder
    include: frozenset[str] = frozenset()
    blocked_by: tuple[int, ...] = ()
    is_newest: bool = True


def run_payload(run: RunRow, view: RunView) -> dict[str, Any]:
    reason = retry_not_supported_reason(run, view.is_newest)
    return {
        "id": run.id,
        "trigger_id": run.id,
        "account_id": run.account_id,
        "environment_id": run.environment_id,
        "project_id": run.project_id,
        "job_definition_id": run.job_id,
        "status": run.status_code,
        "dbt_version": run.dbt_version,
        "git_branch": run.git_branch,
        "git_sha": run.git_sha,
        "status_message": run.status_message,
        "owner_thread_id": None,
        "executed_by_thread_id": None,
        "deferring_run_id": run.deferring_run_id,
        "artifacts_saved": run.artifacts_saved,
        "artifact_s3_path": None,
        "has_docs_generated": run.has_docs_generated,
        "has_sources_generated": run.has_sources_generated,
        "notifications_sent": False,
        "blocked_by": list(view.blocked_by),
        "scribe_enabled": False,
        **_times(run),
        **_related(run, view),
        **_status(run.status),
        **_durations(run),
        "retrying_run_id": run.retrying_run_id,
        "can_retry": reason is None,
        "retry_not_supported_reason": reason,
        "job_id": run.job_id,
        "is_running": None,
        "href": run_url(run, view.base_url),
        "used_repo_cache": None,
        "repo_cache_restore": None,
        "run_retries": [],
        "audit": None,
        "debug_logs": None,
    }


def trigger_payload(run: RunRow) -> dict[str, Any]:
    return {
        "id": run.id,
        "job_definition_id": run.job_id,
        "cause_category": run.cause_category,
        "created_at": spaced(run.created_at),
        "cause_humanized": run.trigger["cause"],
        "job": None,
        **run.trigger,
    }


def run_url(run: RunRow, base_url: str) -> str:
    """Return the page that Airflow's operator link opens."""
    return f"{base_url}/deploy/{run.account_id}/projects/{run.project_id}/runs/{run.id}/"


def _times(run: RunRow) -> dict[str, Any]:
    return {
        "created_at": spaced(run.created_at),
        "updated_at": spaced(run.updated_at),
        "dequeued_at": spaced(run.dequeued_at),
        "started_at": spaced(run.started_at),
        "finished_at": spaced(run.finished_at),
        "last_checked_at": spaced(run.updated_at),
        "last_heartbeat_at": spaced(run.updated_at),
        "should_start_at": None,
    }


def _related(run: RunRow, view: RunView) -> dict[str, Any]:
    included = view.include
    environment = environment_payload(run.environment) if "environment" in included else None
    job = embedded_job_payload(run.job, run.job_settings) if "job" in included else None
    steps = []
    if "run_steps" in included:
        debug = "debug_logs" in included
        steps = [step_payload(step, run, view.folder, debug) for step in run.steps]
    return {
        "trigger": trigger_payload(run) if "trigger" in included else None,
        "job": job,
        "environment": environment,
        "repository": None,
        "run_steps": steps,
    }


def _status(status: Status) -> dict[str, Any]:
    return {
        "status_humanized": status.humanized,
        "in_progress": status in ACTIVE,
        "is_complete": status.is_complete,
        "is_success": status is Status.SUCCESS,
        "is_error": status is Status.ERROR,
        "is_cancelled": status is Status.CANCELLED,
    }


def _durations(run: RunRow) -> dict[str, Any]:
    end = run.finished_at or now()
    total = end - run.created_at
    queued = (run.started_at or end) - run.created_at
    running = end - (run.started_at or end)
    finished = ago(run.finished_at) if run.finished_at else "0 minutes from now"
    return {
        "duration": clock(total),
        "queued_duration": clock(queued),
        "run_duration": clock(running),
        "duration_humanized": humanized(total),
        "queued_duration_humanized": humanized(queued),
        "run_duration_humanized": humanized(running),
        "created_at_humanized": ago(run.created_at),
        "finished_at_humanized": finished,
    }

"""Jobs, on their own and inside a run (CONTRACT.md, section 3.4)."""

from __future__ import annotations

from typing import Any

from ...storage.schedule import (
    cron_of,
    describe_cron,
    next_time,
    with_defaults,
)
from ...storage.schemas import Job
from ...storage.tables import DELETED_STATE, JobRow
from ...times import humanized, iso, now, zulu
from .accounts import environment_payload


def job_payload(row: JobRow, include: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Return exactly the recorded keys: some clients reject unknown ones."""
    job = row.settings
    deleted = row.state == DELETED_STATE
    return _settings(job) | {
        "account_id": row.account_id,
        "schedule": with_defaults(job.schedule),
        "generate_sources": job.run_generate_sources,
        "state": row.state,
        "deactivated": deleted,
        "deactivation_reason": None,
        "run_failure_count": 0,
        "is_deferrable": False,
        "is_system": False,
        "job_type": job.computed_job_type,
        **_next_run(job, deleted),
        "created_at": iso(row.created_at),
        "updated_at": iso(row.updated_at),
        "account": None,
        "project": None,
        "environment": environment_payload(row.environment) if "environment" in include else None,
        "most_recent_run": None,
        "most_recent_completed_run": None,
        "fusion_readiness": None,
        "is_fusion_ready_override": None,
        "custom_environment_variables": None,
    }


def embedded_job_payload(row: JobRow, job: Job) -> dict[str, Any]:
    """Return the job inside a run, as it was when the run was triggered."""
    schedule = with_defaults(job.schedule)
    return _settings(job) | {
        "account_id": row.account_id,
        "schedule": {
            "cron": schedule["cron"],
            "date": schedule["date"]["type"],
            "time": schedule["time"]["type"],
        },
        "generate_sources": job.run_generate_sources,
        "state": row.state,
        "deactivated": row.state == DELETED_STATE,
        "run_failure_count": 0,
        "is_deferrable": False,
        "job_type": job.computed_job_type,
        "created_at": zulu(row.created_at),
        "updated_at": zulu(row.updated_at),
    }


def _next_run(job: Job, deleted: bool) -> dict[str, Any]:
    cron = cron_of(job.schedule)
    starts = job.triggers.schedule and not deleted
    moment = next_time(cron, now()) if starts else None
    return {
        "cron_humanized": describe_cron(cron),
        "next_run": moment.isoformat() if moment else None,
        "next_run_humanized": humanized(moment - now()) if moment else None,
    }


def _settings(job: Job) -> dict[str, Any]:
    return {"id": job.id} | job.model_dump(mode="json") | {"raw_dbt_version": job.dbt_version}
